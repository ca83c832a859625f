"""What an operator changes in the shared state, one procedure at a time or a whole file of definitions.

Decides which procedures a command may ask for: users, rights, limits, policies, parameters and members; what has to do
with lives and copies is nobody's to say. It must not know the command line.
"""

from typing import TYPE_CHECKING, Any, Final

from broker.cluster.asked import ask
from broker.cluster.refusal import Refused
from broker.management import definitions
from broker.management.definition_import import DefinitionImport
from broker.vhosts.logins import LoginRefused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from broker.vhosts.hall import Hall

Answer = dict[str, Any]

ALLOWED: Final = frozenset(
    {
        "put_user",
        "change_user",
        "delete_user",
        "set_user_limits",
        "clear_user_limits",
        "put_vhost",
        "delete_vhost",
        "set_vhost_limits",
        "clear_vhost_limits",
        "put_permission",
        "clear_permission",
        "put_topic_permission",
        "clear_topic_permission",
        "put_policy",
        "clear_policy",
        "put_parameter",
        "clear_parameter",
        "put_global_parameter",
        "clear_global_parameter",
        "add_member",
        "retire_member",
        "forget_member",
        "rename_member",
        "set_cluster_name",
    }
)
HERE: Final = "127.0.0.1"
"""Where somebody who asks over this road is taken to be: who holds the cookie may try guest's password."""


class Changes:
    """The verbs of one life of a node."""

    def __init__(self, hall: "Hall") -> None:
        self._hall = hall
        self.verbs: Mapping[str, Callable[[Answer], Awaitable[Answer]]] = {
            "change": self._change,
            "authenticate": self._authenticate,
            "export_definitions": self._export,
            "import_definitions": self._import,
        }

    async def _change(self, request: Answer) -> Answer:
        asked: Answer = ask(request, "request", dict)
        do = asked.get("do")
        if not isinstance(do, str) or do not in ALLOWED:
            raise Refused("invalid", f"{do} is not a change that a command may ask for")
        return await self._hall.tree.propose(asked)

    async def _authenticate(self, request: Answer) -> Answer:
        user, password = ask(request, "user", str), ask(request, "password", str)
        try:
            self._hall.logins.by_password(user, password, HERE)
        except LoginRefused as refused:
            return {"authenticated": False, "why": str(refused)}
        return {"authenticated": True}

    async def _export(self, request: Answer) -> Answer:
        return {"definitions": definitions.export(self._hall, ask(request, "vhost", str, None))}

    async def _import(self, request: Answer) -> Answer:
        file, vhost = ask(request, "definitions", dict), ask(request, "vhost", str, None)
        await DefinitionImport(self._hall, file, vhost).run()
        return {}
