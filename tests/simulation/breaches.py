"""Ways to break a rule about who is master, who is in sync, and whose word counts.

Each takes one rule away and leaves everything else as it is. They must not know which judge sees it.
"""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from broker.amqp.channel import Channel
from broker.cluster import succession
from broker.cluster.partitions import Electorate
from broker.cluster.procedures import copies
from broker.cluster.procedures.draft import Draft
from broker.cluster.records import RUNNING, WAITING, Life, QueueRecord
from broker.cluster.succession import Situation
from broker.metadata.requests import Requests
from broker.metadata.shared_tree import SharedTree
from broker.mirroring import catch_up
from broker.mirroring.follower import Follower
from broker.mirroring.master import Master
from broker.mirroring.mirror import Mirror, Statement
from broker.mirroring.terms import Terms
from broker.mirroring.witnesses import Witnesses
from broker.queues.consumers import Consumers
from broker.vhosts.followers import Followers
from broker.vhosts.local import Local
from broker.vhosts.subscription import Subscription
from broker.wire import records

Breaking = Callable[[pytest.MonkeyPatch], None]


def count_an_entry_only_when_it_is_applied(patch: pytest.MonkeyPatch) -> None:
    """S2: from its proposal on."""
    patch.setattr(Witnesses, "required", lambda witnesses: witnesses.member_nodes)


def let_who_restarts_keep_its_place(patch: pytest.MonkeyPatch) -> None:
    """S12: members are lives, not names."""
    bury = succession._bury

    def forgiving(record: QueueRecord, situation: Situation) -> QueueRecord:
        after = bury(record, situation)
        back = situation.lives.current(situation.distrusted)  # whose registration this is
        if back is None or back.node not in record.candidates or back == after.master or after.state != RUNNING:
            return after
        others = tuple(life for life in after.mirrors if life.node != back.node)
        in_sync = tuple(life for life in after.in_sync if life.node != back.node)
        return after._replace(mirrors=(back, *others), in_sync=(*in_sync, back))

    patch.setattr(succession, "_bury", forgiving)


def let_a_restarted_master_keep_its_term(patch: pytest.MonkeyPatch) -> None:
    """S3: a master appends only under a term that was committed for this life."""
    promote = succession.promote

    def as_it_was(record: QueueRecord, heir: Life, in_sync: Sequence[Life], zxid: int, **how: Any) -> QueueRecord:
        after = promote(record, heir, in_sync, zxid, **how)
        return after._replace(term=record.term) if heir.node == record.master.node else after

    patch.setattr(succession, "promote", as_it_was)


def forget_a_proposed_entry_when_its_mirror_goes(patch: pytest.MonkeyPatch) -> None:
    """S2: until it has seen the proposal committed or refused."""
    renew = Followers._renew

    def forget(followers: Followers, local: Local, node: str) -> bool:
        renewed = renew(followers, local, node)
        if renewed:
            local.master.witnesses.followers[node].entering = False
        return renewed

    patch.setattr(Followers, "_renew", forget)


def let_a_new_life_enter_for_the_old_one(patch: pytest.MonkeyPatch) -> None:
    """S2, S12: a proposed entry names the life that holds everything, and the record as it was."""
    life = Draft.life

    def current(draft: Draft) -> Life:
        named = life(draft)
        return draft.lives().current(named.node) or named

    patch.setattr(Draft, "life", current)
    patch.setattr(copies, "_check_version", lambda draft, record: None)


def believe_acknowledgements_of_another_stream(patch: pytest.MonkeyPatch) -> None:
    """S1, S12: acknowledgements name a life: a new one has to state anew what it holds."""
    patch.setattr(Followers, "_renew", lambda followers, local, node: False)


def skip_truncation(patch: pytest.MonkeyPatch) -> None:
    """S4: positions are compared, not whose they are."""
    patch.setattr(Terms, "common", lambda terms, others, last: last)


def promote_what_is_there_after_a_cold_start(patch: pytest.MonkeyPatch) -> None:
    """S3: the promote keys count only if the last that was in sync ended while the quorum watched."""
    succeed = succession._succeed

    def hasty(record: QueueRecord, situation: Situation, before: QueueRecord) -> QueueRecord | None:
        after = succeed(record, situation, before)
        if after is None or after.state != WAITING or after.mirroring.get("ha-promote-on-failure") != "always":
            return after
        running = filter(None, map(situation.lives.current, before.candidates))
        heir = next((life for life in running if situation.lives.goes_on(life)), None)
        return after if heir is None else succession.promote(after, heir, (), situation.zxid, lossy=True)

    patch.setattr(succession, "_succeed", hasty)


def commit_without_a_quorum(patch: pytest.MonkeyPatch) -> None:
    """S9: one is enough."""
    patch.setattr(Electorate, "agreed", lambda electorate, marks, folders: max(marks.values(), default=0))
    patch.setattr(Electorate, "enough", lambda electorate, present: bool(present))


def take_a_lease_for_granted(patch: pytest.MonkeyPatch) -> None:
    """S4: a master that is alone in sync acts under a lease."""
    patch.setattr(SharedTree, "lease_valid", lambda tree: True)


def fill_only_what_is_above(patch: pytest.MonkeyPatch) -> None:
    """S5: in sync is who holds every living record, also below the common point."""
    receive = catch_up.receive_statement

    def careless(master: Master, follower: Follower, statement: Statement, **how: Any) -> list[bytes]:
        statement.living = [(1, statement.common)] if statement.common else []
        return receive(master, follower, statement, **how)

    patch.setattr(catch_up, "receive_statement", careless)


def keep_what_the_master_lacks(patch: pytest.MonkeyPatch) -> None:
    """S5: what settled while a mirror was away it drops when it returns."""
    receive = catch_up.receive_statement

    def careless(master: Master, follower: Follower, statement: Statement, **how: Any) -> list[bytes]:
        return [
            raw
            for raw in receive(master, follower, statement, **how)
            if not isinstance(records.decode(raw)[0], records.Settle)
        ]

    patch.setattr(catch_up, "receive_statement", careless)


def forget_who_published_what(patch: pytest.MonkeyPatch) -> None:
    """S6: a new master knows what it has, whoever sends it again."""
    begin = Master.__init__

    def forgetful(master: Master, copy: Any, *rest: Any, **how: Any) -> None:
        copy.origins.clear()
        copy.refused.clear()
        begin(master, copy, *rest, **how)

    patch.setattr(Master, "__init__", forgetful)


def answer_a_declaration_when_it_is_applied_here(patch: pytest.MonkeyPatch) -> None:
    """S15: declared means everywhere."""
    settle = Requests.settle
    patch.setattr(Requests, "settle", lambda requests, applied, stable: settle(requests, applied, applied))


def let_mirrors_forget_marks(patch: pytest.MonkeyPatch) -> None:
    """S7: what was announced for delivery is flagged by whoever comes next."""
    apply = Mirror.apply
    patch.setattr(
        Mirror,
        "apply",
        lambda mirror, record, raw: isinstance(record, records.Mark) or apply(mirror, record, raw),
    )


def give_to_every_consumer(patch: pytest.MonkeyPatch) -> None:
    """One active consumer: the others wait."""
    begin = Consumers.__init__
    patch.setattr(Consumers, "__init__", lambda consumers, *, single_active: begin(consumers, single_active=False))


def follow_silently(patch: pytest.MonkeyPatch) -> None:
    """Who has asked for it is cancelled when the master changes."""
    patch.setattr(Subscription, "survives_failover", True)


def carry_out_what_was_taken_back(patch: pytest.MonkeyPatch) -> None:
    """Transactions: what was rolled back never happened."""

    def keep(channel: Channel) -> None:
        transaction = channel._take_transaction()
        channel._unacked.restore(transaction.answered)
        assert channel.transaction is not None
        channel.transaction.publishes += transaction.publishes

    patch.setattr(Channel, "rollback", keep)
