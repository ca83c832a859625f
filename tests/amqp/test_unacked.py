import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.amqp.errors import ChannelException
from broker.amqp.unacked import Unacked, UnackedRun


def spread(runs):
    return [(run.first_tag + i, run.source, run.first_position + i) for run in runs for i in range(len(run))]


steps = st.lists(
    st.one_of(
        st.tuples(st.just("deliver"), st.integers(1, 5), st.integers(0, 2)),
        st.tuples(st.just("single"), st.integers(0, 40), st.integers(0, 4)),
        st.tuples(st.just("multiple"), st.integers(0, 40), st.just(0)),
        st.tuples(st.just("undo"), st.just(0), st.just(0)),
    ),
    max_size=30,
)


@given(steps)
def test_it_agrees_with_a_plain_dictionary(script):
    unacked, plain, next_tag = Unacked(), {}, 1
    last_taken = []
    for verb, number, more in script:
        if verb == "deliver":
            run = UnackedRun(next_tag, next_tag + number - 1, f"source {more}", next_tag * 10)
            unacked.add(run)
            plain |= {tag: (tag, source, position) for tag, source, position in spread([run])}
            next_tag += number
            continue
        if verb == "undo":
            unacked.restore(last_taken)
            plain |= {entry[0]: entry for entry in spread(last_taken)}
            last_taken = []
            continue
        if verb == "single":
            wanted = [
                tag for tag in range(number, number + more + 1) if all(t in plain for t in range(number, tag + 1))
            ]
        else:
            wanted = [tag for tag in plain if tag <= number or not number] if number in plain or not number else []
        try:
            last_taken = unacked.take(number, number + more, verb == "multiple")
        except ChannelException as error:
            assert error.text == f"PRECONDITION_FAILED - unknown delivery tag {number}"  # noqa: PT017 - raised or not, as the model says
            assert not wanted
            last_taken = []
            continue
        assert spread(last_taken) == [plain.pop(tag) for tag in sorted(wanted)]
        assert unacked.count == len(plain)
    assert spread(unacked.take_all()) == sorted(plain.values())
    assert unacked.count == 0


def test_many_runs_answered_in_order_leave_nothing_behind():
    unacked = Unacked()
    for tag in range(1, 2001):
        unacked.add(UnackedRun(tag, tag, "queue", tag))
        if tag > 10:
            unacked.take(tag - 10, tag - 10, False)
    assert len(unacked._runs) < 200
    assert unacked.count == 10


def test_a_run_knows_its_positions():
    run = UnackedRun(5, 9, "queue", 100)
    assert run.settled == ("queue", 100, 104)
    assert run.part(6, 7).settled == ("queue", 101, 102)


def test_an_unknown_tag_is_the_clients_error():
    with pytest.raises(ChannelException, match="unknown delivery tag 3"):
        Unacked().take(3, 3, True)
    assert Unacked().take(0, 0, True) == []
