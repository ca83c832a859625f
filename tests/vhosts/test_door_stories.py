"""Dialogues of one client with a whole node: what RabbitMQ 3.10 says when it hears the same, word for word."""

from pathlib import Path

import pytest
import trio

from broker.wire.content import body_of
from broker.wire.events import Content, Delivered
from broker.wire.frames import FrameReader
from broker.wire.method_fields import METHODS
from tests.amqp import story
from tests.vhosts.door import open_house
from tests.vhosts.halls import open_cluster

FOLDER = Path(__file__).parent.parent / "stories" / "door"
STORIES = sorted(FOLDER.glob("*.txt"))
SILENCE_S = 0.05


async def heard(stream, reader):
    """What comes until nothing more does."""
    lines = []
    while True:
        with trio.move_on_after(SILENCE_S) as silence:
            data = await stream.receive_some(65536)
            lines += [line for event in reader.feed(data) for line in spelled(event)]
            if not data:
                return [*lines, "< end"]
        if silence.cancelled_caught:
            return lines


def spelled(event):
    """The lines about one event: deliveries one by one, with their bodies."""
    if isinstance(event, Delivered):
        flag = " redelivered" if event.redelivered else ""
        tag = event.consumer_tag.decode()
        for number, content in enumerate(event.contents, event.first_tag):
            yield f"< {event.channel} delivered {tag} {number} {body_of(content)!r}{flag}"
    elif isinstance(event, Content):
        method = METHODS[event.class_id, event.method_id].decode(event.payload)
        yield f"< {event.channel} {story.spelled(method)} {body_of(event.content)!r}"
    else:
        yield "<" + story.told(event)[1:]


def shared(line):
    """The same with a queue that any connection may use."""
    return line.replace(" exclusive=True", "") if " queue.declare " in line else line


async def play(text, stream):
    """The story with what is heard below each line that is said."""
    reader = FrameReader(0, client=True)
    lines = []
    for line in text.splitlines():
        if line[:1] == "<":
            continue
        lines.append(line)
        if line[:1] == ">":
            await stream.send_all(b"".join(story.sent(words.strip()) for words in line[1:].split(" & ")))
            lines += await heard(stream, reader)
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
async def test_story(path, golden, autojump_clock):
    async with open_house() as house:
        client = await house.client()
        golden(path, await play(path.read_text(encoding="utf-8"), client.stream))


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
async def test_story_through_another_node(path, mirrored, autojump_clock):
    """The same words are heard where the queues have their masters elsewhere."""
    lines = [shared(line) for line in path.read_text(encoding="utf-8").splitlines()]
    declares = [line[1:].strip() for line in lines if line.startswith("> 1 queue.declare")]
    async with open_cluster() as cluster:
        if mirrored:
            cluster.mirror()
        there, here = [await cluster.nodes[name].client() for name in ("n2", "n1")]
        for words in dict.fromkeys(declares):
            await there.stream.send_all(story.sent(words))
        await heard(there.stream, FrameReader(0, client=True))
        assert all(handle.remote for handle in cluster.nodes["n1"].hall.catalogue.handles.values())
        assert (await play("\n".join(lines), here.stream)).splitlines() == lines
