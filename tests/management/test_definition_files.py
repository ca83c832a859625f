"""Large definitions by HTTP: they take their time, but not a task for every item at once."""

import trio

from broker.management.definition_import import AT_ONCE_MAX
from broker.management.route import CHANGE_S
from tests.management.test_changes import open_browser


async def test_an_import_that_takes_longer_than_other_changes_is_not_cut_off(autojump_clock):
    async with open_browser() as (hall, browser):
        propose = hall.tree.propose

        async def slowly(request):
            await trio.sleep(2)
            return await propose(request)

        hall.tree.propose = slowly
        policy = {"vhost": "/", "pattern": "^a", "definition": {"max-length": 1}}
        names = [f"p{number}" for number in range(CHANGE_S // 2 + 5)]
        file = {"policies": [{"name": name, **policy} for name in names]}
        assert (await browser.ask("definitions", "POST", file)).status == 204
        assert len(await browser.json("policies")) == len(names)


async def test_an_import_has_only_so_many_tasks():
    async with open_browser() as (hall, browser):
        propose, most = hall.tree.propose, 0
        before = trio.lowlevel.current_statistics().tasks_living

        async def counted(request):
            nonlocal most
            await trio.lowlevel.checkpoint()
            most = max(most, trio.lowlevel.current_statistics().tasks_living - before)
            return await propose(request)

        hall.tree.propose = counted
        file = {"global_parameters": [{"name": str(number), "value": 1} for number in range(5 * AT_ONCE_MAX)]}
        assert (await browser.ask("definitions", "POST", file)).status == 204
        assert most <= AT_ONCE_MAX + 1
