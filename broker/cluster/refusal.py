"""The one way in which the shared state says no.

Decides the shape of a refusal: a code for programs and a reason for people. It must not know who asked, nor which AMQP
or HTTP answer becomes of it.
"""


class Refused(Exception):
    """A request that was understood and changes nothing.

    Codes of the tree: no_node, node_exists, bad_version, not_empty, ephemeral_parent, bad_path. Of the procedures:
    not_found, no_user, exists, full, inequivalent, locked, in_use, stale, invalid, running, old_life, unsynchronised.
    """

    def __init__(self, code: str, why: str) -> None:
        super().__init__(code, why)
        self.code = code
        self.why = why

    def __str__(self) -> str:
        return self.why
