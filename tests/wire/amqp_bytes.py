"""AMQP bytes for tests: what a peer would send, and a plain way to compare what came of it."""

import random
from itertools import pairwise

from hypothesis import strategies as st

from broker.wire.basic_methods import BasicAck, BasicDeliver, BasicPublish
from broker.wire.content import make_content
from broker.wire.events import Acks, Delivered, Medley, Publish
from broker.wire.methods import ChannelFlow
from broker.wire.properties import Properties

HEARTBEAT = b"\x08\0\0\0\0\0\0\xce"


def published(body, *, channel=1, exchange="", key="q", properties=None, frame_max=4096):
    method = BasicPublish(exchange=exchange, routing_key=key).frame(channel)
    return method + make_content(channel, properties or Properties(), body, frame_max)


def delivered(body, tag, *, channel=1, consumer="c", redelivered=False, key="q", frame_max=4096):
    method = BasicDeliver(consumer_tag=consumer, delivery_tag=tag, redelivered=redelivered, routing_key=key)
    return method.frame(channel) + make_content(channel, Properties(), body, frame_max)


def acked(tag, *, channel=1, multiple=False):
    return BasicAck(delivery_tag=tag, multiple=multiple).frame(channel)


def _burst(rng, client):
    channel = rng.choice((1, 1, 1, 2, 300))
    count = rng.choice((1, 2, 7, 9, 70))
    size = rng.choice((0, 1, 12, 12, 200, 5000))
    kind = rng.randrange(7)
    if kind == 0:
        return [ChannelFlow(active=True).frame(channel), HEARTBEAT]
    if kind == 1 and not client:
        first = rng.choice((0, 1, 65530, 2**32 - 3, 2**63 - 2))
        step = rng.choice((1, 1, 2))
        return [acked(first + i * step, channel=channel, multiple=rng.random() < 0.1) for i in range(count)]
    bodies = [rng.randbytes(size if rng.random() < 0.97 else rng.randrange(20)) for _ in range(count)]
    if client:
        first = rng.choice((1, 65530, 2**40))
        return [delivered(body, first + i, channel=channel) for i, body in enumerate(bodies)]
    looks = Properties(), Properties(delivery_mode=2), Properties(headers={"a": 1}, priority=3)
    if kind in (2, 3):  # in turn, at random, or in short runs
        keys = [f"q{int(i * rng.choice((1, 7, 0.3)) % 5)}" for i in range(count)]
        odd = rng.choice((0, 0, 0.05))
        return [
            published(body, channel=channel, key=key, properties=rng.choice(looks) if rng.random() < odd else looks[1])
            for body, key in zip(bodies, keys, strict=True)
        ]
    properties = rng.choice(looks)
    key = rng.choice(("q", "q", "other.key"))
    return [published(body, channel=channel, key=key, properties=properties) for body in bodies]


def conversation(seed, *, client=False):
    """A valid stream of bursts of one kind each."""
    rng = random.Random(seed)
    return b"".join(frame for _ in range(rng.randrange(1, 8)) for frame in _burst(rng, client))


def cuts(data, points):
    edges = [0, *sorted({point % (len(data) + 1) for point in points}), len(data)]
    return [data[start:stop] for start, stop in pairwise(edges)]


def plain(events):
    """Events as tuples, runs taken apart into single messages, so that only the cutting of runs is forgotten."""
    seen = []
    for event in events:
        if isinstance(event, Publish):
            seen += [("publish", event.channel, event.payload, event.traits, content) for content in event.contents]
        elif isinstance(event, Medley):
            seen += plain(event.publishes())
        elif isinstance(event, Delivered):
            head = ("deliver", event.channel, event.consumer_tag, event.redelivered, event.address)
            seen += [(*head, event.first_tag + i, content) for i, content in enumerate(event.contents)]
        elif isinstance(event, Acks):
            seen += [("ack", event.channel, tag, event.multiple) for tag in range(event.first_tag, event.last_tag + 1)]
        else:
            seen.append((type(event).__name__, *(getattr(event, name) for name in event.__slots__)))
    return seen


cut_points = st.lists(st.integers(min_value=0, max_value=10**6), max_size=6)
