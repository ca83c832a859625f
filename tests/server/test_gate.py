import trio
import trio.testing

from broker.server.gate import Gate


async def test_every_key_must_open():
    gate = Gate()
    await gate.passage()
    gate.close("journal", "disk")
    gate.close("link to n2")
    passed = []

    async def pass_through():
        await gate.passage()
        passed.append(True)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(pass_through)
        gate.open("journal")
        gate.open("never closed")
        await trio.testing.wait_all_tasks_blocked()
        assert not passed
        gate.open("link to n2")
    assert passed


def test_clients_are_told_only_of_what_has_words():
    gate = Gate()
    told = []
    gate.on_change = lambda: told.append(gate.words)
    gate.close(1)
    gate.close(2, "memory")
    gate.close(3, "disk")
    gate.open(2)
    gate.open(3)
    assert told == ["low on memory", "low on disk & memory", "low on disk", ""]
    assert not gate.is_open
