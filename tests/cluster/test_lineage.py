"""What of one's own history may be given up for another one."""

from broker.cluster.entries import MARKER, TRANSACTION, DurableState, Entry, Roll, zxid_of
from broker.cluster.history import History
from broker.cluster.lineage import EPOCHS_TOLD_MAX, continues, may_have_begun, told
from broker.cluster.messages import LEADING, LOOKING, Status

MEMBERS = {"n1": "a", "n2": "b", "n3": "c"}


def history(*epochs: tuple[int, int, str]) -> History:
    """Epochs as (number, last counter, names of the view, of which "" is none)."""
    log = History(DurableState())
    for epoch, last, names in epochs:
        view = {f"n{name}": 1 for name in names} if names else None
        log.append(Entry(zxid_of(epoch, 0), MARKER, Roll("c", "n1", MEMBERS, view).encode()))
        for counter in range(1, last + 1):
            log.append(Entry(zxid_of(epoch, counter), TRANSACTION, b""))
    return log


def says(log: History, committed: int, *, folder: str = "b", accepted: int = 0, state: str = LEADING) -> Status:
    epoch = accepted or log.last_epoch
    return Status(
        state=state,
        folder=folder,
        accepted_epoch=epoch,
        last_epoch=log.last_epoch,
        last_zxid=log.last_zxid,
        established=state == LEADING,
        members=dict(MEMBERS),
        committed=committed,
        epochs=told(log),
    )


def test_a_longer_log_continues_a_shorter_one_and_a_blank_one() -> None:
    other = says(history((1, 3, "12"), (65, 0, "2")), zxid_of(65, 0))
    assert continues(history((1, 2, "12")), zxid_of(1, 2), other, {"n2": other}, "n1")
    assert continues(History(DurableState()), 0, other, {"n2": other}, "n1")


def test_what_is_committed_is_never_given_up() -> None:
    other = says(history((1, 2, "12"), (65, 0, "2")), zxid_of(65, 0))
    assert not continues(history((1, 3, "12")), zxid_of(1, 3), other, {"n2": other}, "n1")
    assert continues(history((1, 3, "12")), zxid_of(1, 2), other, {"n2": other}, "n1")  # n2 never had it


def test_what_was_decided_alone_counts_as_committed_even_if_nobody_remembers() -> None:
    other = says(history((1, 2, "12"), (65, 0, "2")), zxid_of(65, 0))
    assert not continues(history((1, 2, "12"), (64, 0, "1")), zxid_of(1, 2), other, {"n2": other}, "n1")


def test_a_view_with_somebody_of_whom_nothing_is_known_may_have_committed() -> None:
    mine = history((1, 2, "123"), (64, 1, "13"))
    other = says(history((1, 2, "123"), (65, 4, "2")), zxid_of(65, 4))
    assert not continues(mine, zxid_of(1, 2), other, {"n2": other}, "n1")
    lacks = says(history((1, 2, "123")), zxid_of(1, 2), folder="c", accepted=65, state=LOOKING)
    assert continues(mine, zxid_of(1, 2), other, {"n2": other, "n3": lacks}, "n1")
    forgot = says(history((1, 2, "123")), zxid_of(1, 2), folder="new", accepted=65, state=LOOKING)
    assert not continues(mine, zxid_of(1, 2), other, {"n2": other, "n3": forgot}, "n1")
    earlier = says(history((1, 2, "123")), zxid_of(1, 2), folder="c", accepted=64, state=LOOKING)
    assert not continues(mine, zxid_of(1, 2), other, {"n2": other, "n3": earlier}, "n1")  # it may yet get it


def test_a_committed_view_of_the_others_shows_who_lacks_it() -> None:
    mine = history((1, 2, "123"), (64, 1, "13"))
    other = says(history((1, 2, "123"), (65, 4, "23"), (129, 0, "2")), zxid_of(129, 0))
    assert continues(mine, zxid_of(1, 2), other, {"n2": other}, "n1")
    uncommitted = says(history((1, 2, "123"), (65, 4, "23"), (129, 0, "2")), zxid_of(1, 2))
    assert not continues(mine, zxid_of(1, 2), uncommitted, {"n2": uncommitted}, "n1")


def test_who_has_nothing_in_common_with_what_is_told_has_another_history() -> None:
    long = history((1, 0, "12"), *((65 + 64 * i, 0, "2") for i in range(EPOCHS_TOLD_MAX)))
    other = says(long, long.last_zxid)
    assert not continues(history((1, 0, "12")), 0, other, {"n2": other}, "n1")
    assert may_have_begun(told(long), 1)  # it is not told
    assert may_have_begun(told(long), 129)
    assert not may_have_begun(told(long), 130)
