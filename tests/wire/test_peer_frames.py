"""Frames between nodes: the same however the bytes were cut, limits before memory, proofs that prove one thing."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.wire.peer_frames import (
    HEAD,
    NONCE_BYTES,
    FrameReader,
    Greeting,
    OtherVersion,
    PeerFrameError,
    encode_frame,
    proof_holds,
    prove,
)

frames = st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=300)), max_size=20)
names = st.text(max_size=60)


@given(frames, st.lists(st.integers(1, 700)), st.integers(0, 2**40))
def test_the_same_frames_however_the_bytes_are_cut(sent, cuts, begin):
    stream = b"".join(encode_frame(kind, payload) for kind, payload in sent)
    reader, received = FrameReader(offset=begin), []
    for size in [*cuts, len(stream)]:
        received += reader.feed(stream[:size])
        stream = stream[size:]
    assert [(kind, payload) for kind, payload, _ in received] == sent
    offset = begin
    for kind, payload, behind in received:
        offset += len(encode_frame(kind, payload))
        assert behind == offset
    assert reader.offset == offset


def test_byte_by_byte():
    reader = FrameReader()
    stream = encode_frame(16, b"") + encode_frame(255, b"abc")
    assert [frame for byte in stream for frame in reader.feed(bytes((byte,)))] == [(16, b"", 5), (255, b"abc", 13)]


def test_a_frame_that_is_too_long_is_refused_by_its_head():
    reader = FrameReader(frame_bytes_max=1000)
    assert reader.feed(HEAD.pack(1000, 16)) == []
    with pytest.raises(PeerFrameError, match="1001 bytes, more than 1000"):
        FrameReader(frame_bytes_max=1000).feed(HEAD.pack(1001, 16))


@given(names, names, st.integers(0, 2**64 - 1), names, st.binary(min_size=NONCE_BYTES, max_size=NONCE_BYTES))
def test_a_greeting_survives_the_way(cluster, node, life, folder, nonce):
    told = Greeting(cluster=cluster, node=node, life=life, folder=folder, lane="data", nonce=nonce, offset=7)
    heard = Greeting.decode(told.encode())
    assert [getattr(heard, name) for name in Greeting.__slots__] == [getattr(told, name) for name in Greeting.__slots__]


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda rest: b"WARREN\1" + rest))
def test_garbage_is_no_greeting(payload):
    try:
        heard = Greeting.decode(payload)
    except PeerFrameError:
        return
    assert heard.encode() == payload


def test_another_version_is_named_whatever_follows():
    with pytest.raises(OtherVersion, match="protocol version 9, here it is 1"):
        Greeting.decode(b"WARREN\x09" + b"who knows")


def test_a_name_that_does_not_fit_is_our_own_mistake():
    with pytest.raises(ValueError, match="range"):
        Greeting(cluster="c" * 256, node="n", life=1, folder="", lane="data", nonce=bytes(NONCE_BYTES)).encode()


def test_a_proof_is_about_one_cookie_one_role_and_one_pair_of_greetings():
    proof = prove(b"cookie", "dialler", b"hello", b"welcome")
    assert proof_holds(b"cookie", "dialler", b"hello", b"welcome", proof)
    others = [
        (b"cake", "dialler", b"hello", b"welcome"),
        (b"cookie", "listener", b"hello", b"welcome"),
        (b"cookie", "dialler", b"hellow", b"elcome"),
        (b"cookie", "dialler", b"hello", b"welcome again"),
    ]
    assert not [other for other in others if proof_holds(*other, proof)]
    assert not proof_holds(b"cookie", "dialler", b"hello", b"welcome", b"")


def test_the_head_is_length_and_kind():
    assert encode_frame(16, b"abc") == struct.pack(">IB", 3, 16) + b"abc"
