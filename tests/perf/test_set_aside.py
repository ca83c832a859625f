"""What a drill finds of its messages in recovery files."""

from random import Random

from broker.perf.crew import BODY
from broker.perf.set_aside import count_set_aside
from tests.perf.fake_broker import FakeBroker
from tests.perf.fake_cluster import FakeCluster


async def test_its_own_files_are_read_to_the_end_and_removed(autojump_clock: object) -> None:
    cluster = FakeCluster(Random(1), FakeBroker())
    cluster.recovered = [{"queue": "drill.7.1", "file": "one"}, {"queue": "orders", "file": "two"}]
    cluster.recovered_messages = [
        {"body": BODY.pack(3, 4).decode(), "encoding": "utf8"},
        {"body": "AAAAAAAAAAMAAAAAAAAA/w==", "encoding": "base64"},
    ]
    assert await count_set_aside(cluster, "drill.7.") == {(3, 4), (3, 255)}
    assert [asked["file"] for asked in cluster.asked if asked["do"] == "recovered_drop"] == ["one"]
