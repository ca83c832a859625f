"""Where clients live: machines of their own in the simulated network, from which they log in at a node."""

from tests.simulation.client import Client, connect
from tests.simulation.world import USER, World


class Home:
    """A client's machine."""

    def __init__(self, world: World, name: str) -> None:
        self._world = world
        self._network = world.network.host(name)

    async def connect(self, node: str, **options: dict[str, bool]) -> Client:
        """Log in at a node. Raises Lost and Refused."""
        return await connect(self._world.nursery, self._network, f"{node}:5672", USER, **options)
