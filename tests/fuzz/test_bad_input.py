"""Bad input at the whole door: no crash, no hang, nothing left behind, always an error of the right class."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trio import run
from trio.testing import MockClock

from tests.fuzz.play import play
from tests.fuzz.script import CHANNEL_2, OFTEN, script_of
from tests.fuzz.tape import Tape


def codes_of(tape: bytes) -> list[int]:
    return run(play, tape, clock=MockClock(autojump_threshold=0))


@given(st.binary(max_size=120))
@settings(max_examples=60, deadline=None)
def test_whatever_a_client_says_it_harms_nobody_else(tape):
    codes_of(tape)


@pytest.mark.slow
@given(st.binary(min_size=100, max_size=600))
@settings(max_examples=1500, deadline=None)
def test_however_much_it_says(tape):
    codes_of(tape)


def test_the_player_gets_as_far_as_refusals_of_every_class():
    heard = {code for seed in range(40) for code in codes_of(bytes((seed * 37 + at * 101) % 256 for at in range(150)))}
    assert {404, 504} <= heard  # a soft one and a hard one: else the scripts break off before they begin


def test_a_tape_speaks_of_both_channels_and_of_every_frequent_method():
    pieces = [
        piece for seed in range(64) for piece in script_of(Tape(bytes((seed * 7 + at * 11) % 256 for at in range(200))))
    ]
    spoken = {(piece[1] << 8 | piece[2], piece[7:11]) for piece in pieces if len(piece) > 11 and piece[0] == 1}
    assert {1, CHANNEL_2} <= {channel for channel, _ in spoken}
    for method in OFTEN:
        assert any(ids == method.class_id.to_bytes(2, "big") + method.method_id.to_bytes(2, "big") for _, ids in spoken)
