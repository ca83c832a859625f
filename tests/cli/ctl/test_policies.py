"""Which policies match a name, the one that is in force first."""

import json

from tests.cli.ctl.station import open_ctl


async def test_policies_that_match_a_name(monkeypatch, capsys):
    async with open_ctl(monkeypatch, capsys) as (_hall, ctl):
        for words in (
            ("set_policy", "low", "^x", '{"max-length": 1}'),
            ("set_policy", "high", "x", '{"max-length": 2}', "--priority", "5"),
            ("set_policy", "other", "^y", '{"max-length": 3}'),
            ("set_policy", "routes", ".*", '{"alternate-exchange": "a"}', "--apply-to", "exchanges"),
        ):
            assert (await ctl(*words)).code == 0
        done = await ctl("list_policies_that_match", "xa")
        assert done.out.splitlines() == [
            "Listing policies that match queue 'xa' in vhost '/' ...",
            "vhost\tname\tpattern\tapply-to\tdefinition\tpriority",
            '/\thigh\tx\tall\t{"max-length":2}\t5',
            '/\tlow\t^x\tall\t{"max-length":1}\t0',
        ]
        done = await ctl("list_policies_that_match", "--object-type", "exchange", "q", "--formatter", "json")
        assert [row["name"] for row in json.loads(done.out)] == ["routes"]
        assert (await ctl("list_policies_that_match", "-p", "nope", "q")).code == 65
        assert (await ctl("list_policies_that_match", "--object-type", "user", "q")).code == 64
