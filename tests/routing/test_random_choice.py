"""Random exchanges: one destination per message, all in their turn, by the chance that was handed in."""

from collections import Counter
from random import Random

from broker.routing.exchange import Destination, Message
from broker.routing.random_choice import RandomChoice

A, B = Destination("queue", "a"), Destination("queue", "b")


def test_each_binding_has_the_same_chance() -> None:
    exchange = RandomChoice(Random(1))
    assert list(exchange.match(["k"], Message({}))) == []
    for destination, key in ((A, ""), (B, ""), (B, "again")):
        exchange.bind(destination, key, {})
    assert exchange.per_message
    found = [list(exchange.match(["k", "cc"], Message({}))) for _ in range(900)]
    assert all(len(one) == 1 for one in found)
    shares = Counter(one[0].name for one in found)
    assert 250 < shares["a"] < 350
    exchange.unbind(B, "", {})
    exchange.unbind(A, "", {})
    assert list(exchange.match(["k"], Message({}))) == [B]


def test_the_same_chance_makes_the_same_choices() -> None:
    choices = []
    for _ in range(2):
        exchange = RandomChoice(Random(7))
        exchange.bind(A, "", {})
        exchange.bind(B, "", {})
        choices.append([next(iter(exchange.match([""], Message({})))) for _ in range(30)])
    assert choices[0] == choices[1]
    assert len(set(choices[0])) == 2
