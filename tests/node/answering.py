"""What answers commands on a node of `tests.vhosts.halls`."""

from broker.management.census import Census
from broker.node.commands import Commands
from tests.management.browser import FakeFacts


class Starting:
    """A report of a node that is not there yet."""

    def why_not_serving(self):
        return "node n1 is joining"


def commands_of(node):
    commands = Commands(Starting(), None, None)
    commands.serve(node.hall, Census(node.hall, FakeFacts(node.name)))
    return commands
