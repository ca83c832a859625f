"""A segment is read as far as it is sound: what was synced and is bad is reported, what was torn is cut."""

import pytest

from broker.storage.reading import Gap, Scan
from broker.wire.message import Run, Traits
from broker.wire.records import Batch, Drop, Mark, Opening, Publish, Record, encode
from broker.wire.sealed import UnknownRecord

NUMBER = 3


class File:
    """The bytes of a segment as the journal writes them, and where each record stands."""

    def __init__(self) -> None:
        self.data = b""
        self.places: list[tuple[int, int, Record]] = []

    def batch(self, *records: Record) -> "File":
        head = Batch(NUMBER, len(self.data)) if self.data else Opening(NUMBER, [])
        for record in (head, *records):
            data = encode(record)
            self.places.append((len(self.data), len(self.data) + len(data), record))
            self.data += data
        return self


def three_batches() -> File:
    return File().batch(Mark(1, 1, 0, 1), Mark(1, 1, 0, 2)).batch(Mark(1, 1, 0, 3)).batch(Mark(1, 1, 0, 4))


def flip(data: bytes, offset: int) -> bytes:
    return data[:offset] + bytes((data[offset] ^ 0x10,)) + data[offset + 1 :]


@pytest.mark.parametrize("closed", [True, False])
def test_a_sound_segment(closed):
    file = three_batches()
    scan = Scan(file.data, NUMBER, closed=closed)
    assert list(scan) == file.places
    assert (scan.gaps, scan.end) == ([], len(file.data))


def test_every_torn_tail_is_cut_to_whole_records():
    file = three_batches()
    for length in range(len(file.data)):
        scan = Scan(file.data[:length], NUMBER, closed=False)
        read = list(scan)
        assert read == file.places[: len(read)]
        assert scan.end == ([offset for offset, _, _ in file.places] + [len(file.data)])[len(read)]
        assert not scan.gaps


def test_a_bad_record_in_the_last_batch_is_a_torn_tail():
    file = three_batches()
    offset, _, _ = file.places[-1]
    scan = Scan(flip(file.data, offset + 20), NUMBER, closed=False)
    assert list(scan) == file.places[:-1]
    assert (scan.gaps, scan.end) == ([], offset)


@pytest.mark.parametrize("closed", [True, False])
@pytest.mark.parametrize("byte", [0, 2, 3, 4, 8, 9, 11, 12, 20, 28])
@pytest.mark.parametrize("index", range(4))
def test_a_bad_record_with_a_batch_behind_it_is_damage_and_the_rest_is_read(index, byte, closed):
    file = three_batches()
    offset = file.places[index][0]
    if isinstance(file.places[index][2], Batch):
        byte = min(byte, 27)
    scan = Scan(flip(file.data, offset + byte), NUMBER, closed=closed)
    following = file.places[index + 1][0]
    assert list(scan) == file.places[:index] + file.places[index + 1 :]
    assert [(gap.offset, gap.length) for gap in scan.gaps] == [(offset, following - offset)]
    assert scan.end == len(file.data)


def test_a_bad_record_in_the_last_batch_of_a_closed_segment_is_damage():
    file = three_batches()
    offset = file.places[-1][0]
    scan = Scan(flip(file.data, offset + 20), NUMBER, closed=True)
    assert list(scan) == file.places[:-1]
    assert scan.gaps == [Gap(offset, len(file.data) - offset, f"the checksum of the record at {offset} is wrong")]


def test_several_damages_in_one_file():
    file = three_batches()
    data = flip(flip(file.data, file.places[1][0] + 20), file.places[4][0] + 20)
    scan = Scan(data, NUMBER, closed=True)
    assert list(scan) == [place for index, place in enumerate(file.places) if index not in {1, 4}]
    assert len(scan.gaps) == 2


def test_a_message_that_holds_a_journal_is_not_read_as_one():
    """Somebody publishes a copy of a segment, and the record with it goes bad."""
    other = b"".join(encode(record) for record in (Batch(NUMBER, 77), Mark(9, 9, 9, 9), Drop(9)))
    run = Run([other + b"\xce"], b"\0\0", Traits(), first=1)
    file = File().batch(Publish(1, 1, run), Mark(1, 1, 0, 1)).batch(Mark(1, 1, 0, 2))
    for byte in (9, 60):  # the length of the record, and its body
        scan = Scan(flip(file.data, file.places[1][0] + byte), NUMBER, closed=False)
        assert [record for _, _, record in scan] == [file.places[index][2] for index in (0, 2, 3, 4)]


def test_batches_of_another_place_are_no_batches():
    data = encode(Opening(NUMBER, [])) + encode(Batch(NUMBER + 1, 0))
    scan = Scan(data, NUMBER, closed=False)
    assert [record for _, _, record in scan] == [Opening(NUMBER, [])]
    assert not list(Scan(encode(Opening(NUMBER + 1, [])), NUMBER, closed=False))


def test_files_of_a_newer_release_are_refused(monkeypatch):
    monkeypatch.setattr(Drop, "KIND", 200)
    with pytest.raises(
        UnknownRecord, match=r"^journal/0*\d+: the record at \d+ has version 1 and kind 200: written by a newer release"
    ):
        list(Scan(File().batch(Drop(1)).data, NUMBER, closed=True))
