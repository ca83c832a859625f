"""What makes publishers wait, and that those of other nodes wait, too."""

import pytest

from broker.mirroring.follower import Follower
from broker.vhosts import pressure
from broker.vhosts.lag import WINDOW_MS
from broker.vhosts.pressure import Pressure
from broker.vhosts.publications import Publications
from broker.wire import queue_frames as frames
from tests.mirroring.lane import run_of
from tests.vhosts.fakes import FakePending, FakeSwitchboard
from tests.vhosts.test_local import local_of

BIG = 1 << 40


class Journal:
    backlog_bytes = 0


class Alarms:
    raised = ()

    def look(self):
        return list(self.raised)


class House:
    """The pressure on n1; it has peers n2 and n3."""

    def __init__(self):
        self.board = FakeSwitchboard()
        self.board.journal = Journal()
        self.board.links.on_incoming_closed = []
        self.board.links.backlog_bytes = lambda peer: self.backlogs.get(peer, 0)
        self.backlogs = {}
        self.masters = []
        self.alarms = Alarms()
        self.pressure = Pressure(self.board, self.alarms)

    def look(self):
        return self.pressure.look(["n2", "n3"], self.masters)

    def told(self, peer="n2"):
        return self.board.take_json(frames.PRESSURE, peer)

    def hear(self, peer, **fields):
        self.board.hear(peer, frames.PRESSURE, frames.encode_json(fields))


def said(*reasons, share=1.0):
    return {"full": bool(reasons), "reasons": list(reasons), "share": share}


@pytest.fixture
def house():
    return House()


def test_nothing_is_full_and_nothing_is_said(house):
    assert house.look() == {}
    assert house.told() == []


def test_a_full_disk_is_told_to_clients_and_to_every_node_until_there_is_room(house):
    house.alarms.raised = ["disk"]
    house.board.journal.backlog_bytes = BIG
    assert house.look() == {"disk": "disk", "journal": ""}
    assert house.look()
    assert house.told("n2") == house.told("n3") == [said("disk")] * 2, "they may not have heard"
    house.board.journal = Journal()
    house.alarms.raised = ["disk", "memory"]
    assert house.look() == {"disk": "disk", "memory": "memory"}
    assert house.told("n2") == [said("disk", "memory")]
    house.alarms.raised = []
    assert house.look() == house.look() == {}
    assert house.told("n2") == [said()]


def test_what_is_full_elsewhere_counts_here_until_it_is_not_or_its_link_ends(house):
    house.hear("n2", **said("disk"))
    house.hear("n3", **(said() | {"full": True}))
    assert house.look() == {"node n2 disk": "disk", "node n3": ""}
    assert house.told() == [], "each speaks for itself"
    house.hear("n2", **said())
    (forget,) = house.board.links.on_incoming_closed
    forget("n3", 1, "control")
    assert house.look() == {"node n3": ""}
    forget("n3", 1, "data")
    assert house.look() == {}


def test_a_mirror_that_does_not_keep_up_makes_publishers_wait(house):
    local = local_of(FakeSwitchboard(), mirrored=True)
    follower = local.master.witnesses.followers["n2"] = Follower("n2", 1)
    house.masters.append(local)
    follower.noted(1, 1000)
    follower.noted(2, 1000 + pressure.MIRROR_BACKLOG_BYTES_MAX)
    assert house.look() == {}
    follower.noted(3, 1001 + pressure.MIRROR_BACKLOG_BYTES_MAX)
    assert house.look() == {"mirrors": ""}
    follower.acknowledged(BIG, 1000)
    assert house.look() == {}


def test_a_catch_up_that_would_not_end_slows_publishers_of_all_nodes(house):
    local = local_of(FakeSwitchboard(), mirrored=True)
    local.master.witnesses.followers["n2"] = follower = Follower("n2", 1)
    follower.missing = [(1, 1000)]
    house.masters.append(local)
    assert house.look() == {}
    assert house.pressure.share == 1.0
    house.board.steady_ms += WINDOW_MS
    assert house.look() == {}
    assert house.pressure.share == 0.5
    assert house.told("n3") == [said(share=0.5)]
    house.hear("n3", **said(share=0.25))
    assert house.pressure.share == 0.25, "the slowest counts"
    follower.missing = []
    house.look()
    assert house.told("n2")[-1] == said()
    (forget,) = house.board.links.on_incoming_closed
    forget("n3", 1, "data")
    assert house.pressure.share == 1.0


def test_what_is_on_its_way_counts_only_here(house, monkeypatch):
    publications = unanswered()
    house.board.unanswered[publications] = None
    monkeypatch.setattr(pressure, "UNANSWERED_BYTES_MAX", publications.size_bytes - 1)
    house.backlogs["n3"] = BIG
    assert house.look() == {"links": "", "unanswered": ""}
    assert house.told() == []


def unanswered():
    publications = Publications("n1/1")
    publications.add(run_of("a", "b"), FakePending())
    return publications
