"""A coverage-guided fuzzer's way in: `python -m tests.fuzz.guided TARGET -runs=N [CORPUS]` (options are libFuzzer's).

Targets: `wire` (bytes of a client, cut anywhere), `records` (a journal or a peer's link), `tables` (field tables), and
`door` (a whole door and hall, by tape). Decides what may be raised where; anything else is a fault and ends the run.
"""

import contextlib
import sys

import atheris

with atheris.instrument_imports(include=["broker"]):
    import trio
    import trio.testing

    from broker.wire import fields, frames, malformed, peer_frames, records, sealed
    from tests.fuzz import play
    from tests.wire.amqp_bytes import plain

MESSAGE_BYTES_MAX = 1 << 20


def wire(data: bytes) -> None:
    """The fast parser and the plain one tell the same story, however the bytes are cut, and keep little."""
    step = max(1, data[0]) if data else 1
    stories = []
    for runs in (True, False):
        reader = frames.FrameReader(4096, runs=runs, message_bytes_max=MESSAGE_BYTES_MAX)
        pieces = (data[start : start + step] for start in range(0, len(data), step))
        stories.append(plain([event for piece in pieces for event in reader.feed(piece)]))
        held = sum(len(one.body) for one in reader.assembling.values())
        assert held <= len(data), "more is kept than was sent"
    assert stories[0] == stories[1], stories


def read_records(data: bytes) -> None:
    """A torn, foreign or damaged record is told from a whole one; whole ones come out as they went in."""
    with contextlib.suppress(sealed.TornRecord, sealed.DamagedRecord, sealed.UnknownRecord):
        records.decode(data)
    with contextlib.suppress(peer_frames.PeerFrameError):
        list(peer_frames.FrameReader().feed(data))


def tables(data: bytes) -> None:
    """Field tables nest, lie about their length and hold types that nobody knows."""
    with contextlib.suppress(malformed.Malformed):
        table, _ = fields.decode_table(data)
        encoded = fields.encode_table(table)
        assert fields.encode_table(fields.decode_table(encoded)[0]) == encoded


def door(data: bytes) -> None:
    """A whole door and hall."""
    trio.run(play.play, data, clock=trio.testing.MockClock(autojump_threshold=0))


TARGETS = {"wire": wire, "records": read_records, "tables": tables, "door": door}

if __name__ == "__main__":
    atheris.Setup([sys.argv[0], *sys.argv[2:]], TARGETS[sys.argv[1]])
    atheris.Fuzz()
