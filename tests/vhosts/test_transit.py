"""Who has to look when a mirror's node has got further: those whom it concerns, and nobody else."""

from broker.vhosts.transit import Transit


def test_only_those_are_concerned_whose_notes_are_covered():
    transit = Transit()
    for offset, local in [(10, "a"), (20, "b"), (30, "a"), (40, "c")]:
        transit.sent("n2", offset, local)
    transit.sent("n3", 5, "d")
    assert transit.acknowledged("n2", 30, 0) == ["a", "b"]
    assert transit.acknowledged("n2", 30, 10) == ["a"]
    assert list(transit.masters()) == ["b", "a", "c", "d"]
    assert transit.acknowledged("n2", 100, 100) == ["c", "b", "a"]
    assert transit.acknowledged("n2", 100, 100) == []
    assert list(transit.masters()) == ["d"]


def test_nobody_waits_for_a_stream_that_has_ended():
    transit = Transit()
    transit.sent("n2", 10, "a")
    transit.forget("n2")
    assert list(transit.masters()) == []
    assert transit.acknowledged("n2", 10, 10) == []
