from broker.vhosts.publications import Publications
from tests.mirroring.lane import run_of
from tests.vhosts.fakes import FakePending


def filled(*sizes):
    publications, pendings = Publications("n1/1"), []
    for size in sizes:
        pendings.append(FakePending())
        publications.add(run_of(*"x" * size), pendings[-1])
    return publications, pendings


def answers(pendings):
    return [pending.answers for pending in pendings]


def test_sequences_are_dense():
    publications, _ = filled(2, 1, 3)
    assert [(entry.run.origin, entry.run.sequence, entry.last_sequence) for entry in publications.entries] == [
        ("n1/1", 1, 2),
        ("n1/1", 3, 3),
        ("n1/1", 4, 6),
    ]


def test_a_master_elsewhere_answers_by_sequence_whole_runs_only():
    publications, pendings = filled(2, 1, 3)
    publications.answered_upto(5)
    assert answers(pendings) == [1, 1, 0]
    publications.answered_upto(5)
    publications.answered_upto(6)
    assert answers(pendings) == [1, 1, 1]


def test_a_master_here_answers_by_note_and_only_what_it_has_taken():
    publications, pendings = filled(1, 1, 1)
    publications.entries[0].note = 4
    publications.entries[1].note = 6
    publications.noted_upto(5)
    assert answers(pendings) == [1, 0, 0]
    publications.noted_upto(100)
    assert answers(pendings) == [1, 1, 0], "the third has not been taken yet"


def test_refusals_are_told_to_the_runs_they_fall_into():
    publications, pendings = filled(2, 3, 2)
    publications.refused(2, 4)
    assert [pending.refused for pending in pendings] == [[(1, 2)], [(0, 2)], []]


def test_where_no_master_will_come_everything_is_refused():
    publications, pendings = filled(2, 1)
    publications.refuse_all()
    assert [(pending.refused, pending.answers) for pending in pendings] == [([(0, 2)], 1), ([(0, 1)], 1)]


def test_a_deleted_queue_answers_everything():
    publications, pendings = filled(2, 1)
    publications.answer_all()
    assert [(pending.refused, pending.answers) for pending in pendings] == [([], 1), ([], 1)]


def test_the_bytes_that_wait_are_counted():
    publications, _ = filled(2, 1)
    size = publications.size_bytes
    publications.answered_upto(2)
    assert 0 < publications.size_bytes < size
    publications.answer_all()
    assert publications.size_bytes == 0
