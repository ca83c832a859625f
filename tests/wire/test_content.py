import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.wire.content import body_of, body_size, make_content, rechannel, reframe
from broker.wire.properties import Properties, property_bytes

properties = Properties(content_type="text/plain", headers={"a": "b"})
sizes = st.sampled_from([0, 1, 88, 89, 92, 100, 1000])
frame_sizes = st.sampled_from([0, 96, 100, 4096])


@given(sizes, frame_sizes, frame_sizes, st.integers(0, 65535))
def test_channel_and_frame_size_change_but_nothing_else(size, made_for, wanted, channel):
    body = bytes(range(256))[:size] * (1 + size // 256)
    content = make_content(1, properties, body, made_for)
    changed = reframe(rechannel(content, channel), wanted)
    assert (body_of(changed), body_size(changed)) == (body, len(body))
    assert property_bytes(changed) == properties.encode()
    assert changed == make_content(channel, properties, body, min(made_for or 5000, wanted or 5000))


@pytest.mark.parametrize("body", [b"", b"x", b"x" * 500])
def test_what_fits_is_left_alone(body):
    content = make_content(1, properties, body, 100)
    assert rechannel(content, 1) is content
    assert reframe(content, 100) is content
