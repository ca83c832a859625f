"""Everything that can be asked of the shared state, by name.

Decides which procedure carries out a request. Only the leader does so, once, against committed and outstanding state;
what comes out are absolute operations that every node applies. It must not know how they travel.

A request is a JSON object: `do` names the procedure, the rest is described there. `contact`, if the leader adds it,
says with which lives it has links at this moment ({node: life}); see `lives`.
"""

from collections.abc import Callable
from random import Random
from typing import Final, NamedTuple

from broker.cluster.operations import Operation
from broker.cluster.overlay import Overlay
from broker.cluster.procedures import (
    copies,
    exchanges,
    lives,
    maintenance,
    membership,
    parameters,
    policies,
    queues,
    topic_permissions,
    users,
    vhosts,
)
from broker.cluster.procedures.draft import Answer, Draft, Request
from broker.cluster.refusal import Refused

PROCEDURES: Final[dict[str, Callable[[Draft], Answer]]] = {
    "sync": lives.sync,
    "found": lives.found,
    "add_member": membership.add_member,
    "retire_member": membership.retire_member,
    "forget_member": membership.forget_member,
    "rename_member": membership.rename_member,
    "set_cluster_name": membership.set_cluster_name,
    "register_life": lives.register_life,
    "end_life": lives.end_life,
    "reconcile": lives.reconcile,
    "declare_queue": queues.declare_queue,
    "delete_queue": queues.delete_queue,
    "pause_queue": queues.pause_queue,
    "release_connection": queues.release_connection,
    "declare_exchange": exchanges.declare_exchange,
    "delete_exchange": exchanges.delete_exchange,
    "bind": exchanges.bind,
    "unbind": exchanges.unbind,
    "put_vhost": vhosts.put_vhost,
    "delete_vhost": vhosts.delete_vhost,
    "set_vhost_limits": vhosts.set_vhost_limits,
    "clear_vhost_limits": vhosts.clear_vhost_limits,
    "put_user": users.put_user,
    "delete_user": users.delete_user,
    "change_user": users.change_user,
    "set_user_limits": users.set_user_limits,
    "clear_user_limits": users.clear_user_limits,
    "put_permission": users.put_permission,
    "clear_permission": users.clear_permission,
    "put_topic_permission": topic_permissions.put_topic_permission,
    "clear_topic_permission": topic_permissions.clear_topic_permission,
    "put_policy": policies.put_policy,
    "clear_policy": policies.clear_policy,
    "put_parameter": parameters.put_parameter,
    "clear_parameter": parameters.clear_parameter,
    "put_global_parameter": parameters.put_global_parameter,
    "clear_global_parameter": parameters.clear_global_parameter,
    "enter_in_sync": copies.enter_in_sync,
    "note_use": copies.note_use,
    "leave_in_sync": copies.leave_in_sync,
    "promote_most_complete": copies.promote_most_complete,
    "promote": copies.promote,
    "transfer": copies.transfer,
    "drain_node": maintenance.drain_node,
    "revive_node": maintenance.revive_node,
    "begin_rebalance": maintenance.begin_rebalance,
    "end_rebalance": maintenance.end_rebalance,
}


class Outcome(NamedTuple):
    """What a request comes to: the operations to propose (maybe none) and the answer once they are committed.

    An answer without operations, and a refusal, rest on what the leader saw, outstanding changes included: it is true
    once `overlay.zxid` is committed.
    """

    operations: list[Operation]
    answer: Answer


def prepare(overlay: Overlay, request: Request, zxid: int, chance: Random) -> Outcome:
    """Carry a request out on the overlay, as transaction `zxid`. Raises Refused; then nothing has changed."""
    name = str(request.get("do"))
    procedure = PROCEDURES.get(name)
    if procedure is None:
        raise Refused("invalid", f"there is no procedure {name}")
    with overlay.transaction(zxid) as operations:
        try:
            answer = procedure(Draft(overlay, request, zxid, chance))
        except UnicodeError:  # JSON can carry halves of characters, which are in no name
            raise Refused("invalid", f"{name}: a text is no Unicode") from None
    return Outcome(operations, answer)
