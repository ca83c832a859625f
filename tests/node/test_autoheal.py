"""Whose history goes on."""

import pytest

from broker.node.autoheal import Side, winner_of


def side(*nodes, connections=0):
    return Side(nodes[0], 64, nodes, connections)


@pytest.mark.parametrize(
    ("sides", "winner"),
    [
        ([side("n1", connections=2), side("n2", "n3", connections=1)], "n1"),
        ([side("n1", connections=1), side("n2", "n3", connections=1)], "n2"),
        ([side("n2"), side("n1"), side("n3")], "n1"),
        ([side("n3", "n1"), side("n2", "n4")], "n3"),
    ],
)
def test_connections_then_nodes_then_names(sides, winner):
    assert winner_of(sides).leader == winner
