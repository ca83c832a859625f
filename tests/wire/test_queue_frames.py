import pytest

from broker.wire import queue_frames as frames
from broker.wire.content import make_content
from broker.wire.message import Run, make_address
from broker.wire.properties import Properties, traits_of


@pytest.mark.parametrize("bodies", [[b"one"], [b"one", b"another"], [b""] * 3])
def test_a_reply_travels_with_its_address(bodies):
    contents = [make_content(3, Properties(correlation_id="7", headers={"a": 1}), body, 4096) for body in bodies]
    run = Run(contents, make_address("", "somewhere else"), traits_of(contents[0]))
    address, found = frames.decode_reply(frames.encode_reply("é\udcff", run))
    assert address == "é\udcff"
    assert (found.contents, found.address, found.traits) == (contents, run.address, run.traits)
