import pytest

from broker.vhosts import by_hand
from broker.vhosts.portrait import decode_body, encode_body
from tests.vhosts.room import open_hall


async def declared(hall, name="q", **arguments):
    await hall.declarations.declare_plain("/", name)
    return hall.catalogue.vhosts["/"]


async def test_what_is_published_by_hand_is_safe_and_can_be_looked_at(autojump_clock):
    async with open_hall() as hall:
        vhost = await declared(hall)
        done = await by_hand.publish(vhost, "", "q", [b"one", b"two", b"\xff"], persistent=True)
        assert done == {"published": 3, "unroutable": 0, "refused": 0}
        messages, remaining = await by_hand.get(vhost.handles["q"], 2, keep=True)
        assert [message["body"] for message in messages] == ["one", "two"]
        assert messages[0]["exchange"] == ""
        assert messages[0]["key"] == "q"
        assert messages[0]["properties"] == {"delivery_mode": 2}
        assert remaining == 1
        messages, remaining = await by_hand.get(vhost.handles["q"], 10, keep=False)
        assert [message["body"] for message in messages] == ["one", "two", "/w=="]
        assert [message["redelivered"] for message in messages] == [True, True, False]
        assert remaining == 0
        assert await by_hand.get(vhost.handles["q"], 1, keep=False) == ([], 0)


async def test_what_leads_nowhere_is_told(autojump_clock):
    async with open_hall() as hall:
        vhost = await declared(hall)
        done = await by_hand.publish(vhost, "amq.topic", "nowhere", [b"one"], persistent=False)
        assert done == {"published": 0, "unroutable": 1, "refused": 0}


async def test_what_a_full_queue_refuses_is_counted(autojump_clock):
    async with open_hall() as hall:
        arguments = {"x-max-length": 1, "x-overflow": "reject-publish"}
        facts = {"vhost": "/", "name": "q", "node": "n1", "life": 1, "arguments": arguments}
        await hall.tree.propose({"do": "declare_queue", **facts})
        vhost = hall.catalogue.vhosts["/"]
        done = await by_hand.publish(vhost, "", "q", [b"one", b"two", b"three"], persistent=False)
        assert done == {"published": 1, "unroutable": 0, "refused": 2}


@pytest.mark.parametrize("body", [b"", "grüße".encode(), b"\x00", b"\xff\xfe"])
def test_every_body_survives_the_road(body):
    assert decode_body(encode_body(body)) == body
