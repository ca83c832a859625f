"""Dead letters go back to where they came from, or elsewhere: taken out of their queue where its master is.

Decides which letters go, by which road, and when their queue forgets them: once every queue that they go to has them
safe. What cannot go stays where it stands, as if nobody had looked. A letter is known to its target by its place, like
one that dies (DESIGN S16): if this node dies between the confirm and the settle, the next try does not double it, while
the target remembers. It must not know who asks, but by his rights.
"""

from typing import TYPE_CHECKING, Any, Final

import trio

from broker.amqp.errors import ChannelException
from broker.cluster.asked import ask
from broker.cluster.refusal import Refused
from broker.queues.revival import Home, has_died, home_of, replays_of, revive
from broker.vhosts.by_hand import FRAME_MAX
from broker.vhosts.parcels import UNROUTABLE, Parcel, deliver
from broker.vhosts.portion import Portion, Way, added
from broker.vhosts.portrait import Pattern
from broker.vhosts.walk import Walk
from broker.wire.content import assemble, body_of
from broker.wire.malformed import Malformed
from broker.wire.message import SHORT_BYTES_MAX, Run, make_address, split_address
from broker.wire.properties import Properties, traits_of_properties

if TYPE_CHECKING:
    from collections.abc import Mapping

    from broker.vhosts.hall import Hall
    from broker.vhosts.handle import Handle
    from broker.vhosts.local import Local
    from broker.vhosts.vhost import Vhost

REPLAY: Final = "replay"
UNDER_WAY_MAX = 1000
"""So many letters wait together for their confirms."""
SCANNED_MAX = 20_000
PORTION_BYTES = 4 * 1024 * 1024
"""What one portion passes over, and has on its way."""
PATIENCE_S = 10.0
"""So long one request goes on."""
NOT_DEAD: Final = "nothing tells where they died"
REPLAYED: Final = "they were replayed before"
UNREADABLE: Final = "their properties cannot be read"
FORBIDDEN: Final = "the user may not publish there"

Fields = dict[str, Any]


def wish_of(request: "Mapping[str, Any]") -> Fields:
    """What somebody wants to be replayed, in full. Raises Refused `invalid`, and UnicodeError.

    What cannot be looked for or sent is refused here, not where the master is.
    """
    texts = ("search", "reason", "original", "to", "exchange", "key", "user")
    wish: Fields = {name: ask(request, name, str, None) for name in texts}
    wish |= {name: ask(request, name, int, None) for name in ("limit", "upto")}
    wish |= {name: ask(request, name, bool, False) for name in ("again", "dry_run")}
    if wish["to"] is not None and (wish["exchange"] is not None or wish["key"] is not None):
        raise Refused("invalid", "either a queue or an exchange with a key, not both")
    if wish["key"] is not None and wish["exchange"] is None:
        raise Refused("invalid", "a key is for an exchange")
    if wish["limit"] is not None and wish["limit"] < 0:
        raise Refused("invalid", f"limit is {wish['limit']}: less than nothing")
    for name in ("to", "exchange", "key", "user"):
        if wish[name] is not None and len(wish[name].encode("utf-8", "surrogateescape")) > SHORT_BYTES_MAX:
            raise Refused("invalid", f"{name} has more than {SHORT_BYTES_MAX} bytes")
    if wish["search"] is not None:
        Pattern(wish["search"])
    return {**wish, "after": max(0, ask(request, "after", int, 0))}


class Replays:
    """Replays of this node's masters, and of those elsewhere for who asks here."""

    def __init__(self, hall: "Hall") -> None:
        self._hall = hall
        hall.guests.answer(REPLAY, self._replayed)

    async def replay(self, handle: "Handle", wish: Fields) -> Fields:
        """Portion by portion, until there are no more letters, or enough, or some time has passed: then `next` says
        where to go on. Raises Refused for a queue or an exchange that is not there, or while publishers have to wait,
        and 404 without a master."""
        vhost = self._hall.catalogue.vhosts[handle.record.vhost]
        if wish["to"] is not None and wish["to"] not in vhost.handles:
            raise Refused("not_found", f"no queue '{wish['to']}' in vhost '{vhost.name}'")
        if wish["exchange"] and wish["exchange"] not in vhost.graph:
            raise Refused("not_found", f"no exchange '{wish['exchange']}' in vhost '{vhost.name}'")
        if not wish["dry_run"]:
            self._hall.pressure.check()
        answer = await handle.ask(REPLAY, self._replayed, **wish)
        until = trio.current_time() + PATIENCE_S
        while answer["next"] is not None and trio.current_time() < until:
            left = None if wish["limit"] is None else wish["limit"] - answer["replayed"]
            if left == 0:
                break
            place = {"after": answer["next"], "upto": answer["upto"], "limit": left}
            answer = added(answer, await handle.ask(REPLAY, self._replayed, **{**wish, **place}))
        return answer

    async def _replayed(self, local: "Local", wish: Fields) -> Fields | None:
        """Where the master is. None if it ends before, or cannot be certain to be one: what was on its way then is sent
        again by whoever is asked next, and not taken twice."""
        await local.switchboard.leased()
        handle = self._hall.catalogue.handles.get(local.queue_id)
        if handle is None:
            return None
        vhost, queue = self._hall.catalogue.vhosts[handle.record.vhost], local.queue
        portion = Portion(queue.next_position - 1 if wish["upto"] is None else wish["upto"])
        try:
            behind = await self._gather(local, vhost, portion, wish)
            if not _may_go_on(local):
                return None
            failed = await deliver([parcel for _, parcel in portion.held])
            if not _may_go_on(local):
                return None
            for number, (position, _) in enumerate(portion.held):
                if number in failed:
                    portion.keep(failed[number])
                else:
                    queue.settle_aside(portion, position, position)
            portion.replayed += len(portion.held) - len(failed)
        finally:
            if portion.held and not local.ended:
                queue.let_go(portion, portion.held[0][0], portion.held[-1][0])
                local.switchboard.touch(local)
        return portion.told(behind)

    async def _gather(self, local: "Local", vhost: "Vhost", portion: Portion, wish: Fields) -> int | None:
        """Take aside what goes; the position up to which was looked, None at the end."""
        walk = Walk(local, wish["after"], portion.upto, unacked=False)
        pattern = None if wish["search"] is None else Pattern(wish["search"])
        behind: int = wish["after"]
        while not walk.ended and portion.scanned < SCANNED_MAX:
            for run, _ in await walk.step():
                for index in range(run.count):
                    if self._is_full(portion, wish):
                        return behind
                    behind = run.first + index
                    portion.scanned += 1
                    portion.size_bytes += len(run.contents[index])
                    if pattern is None or pattern.is_in(run, index):
                        self._consider(local, vhost, portion, wish, run.cut(index, index + 1))
            behind = max(behind, walk.position)
            if not walk.ended:
                await trio.lowlevel.checkpoint()
        return None if walk.ended else behind

    def _is_full(self, portion: Portion, wish: Fields) -> bool:
        going = len(portion.held) + portion.replayed
        limited = wish["limit"] is not None and going >= wish["limit"]
        return limited or len(portion.held) >= UNDER_WAY_MAX or portion.size_bytes >= PORTION_BYTES

    def _consider(self, local: "Local", vhost: "Vhost", portion: Portion, wish: Fields, letter: Run) -> None:
        """Whether this letter is meant, and may go; then it is taken aside, or its way is told."""
        try:
            properties = Properties.of(letter.contents[0])
        except Malformed:
            if wish["reason"] is None and wish["original"] is None:
                portion.matched += 1
                portion.keep(UNREADABLE)
            return
        headers = properties.headers or {}
        if (wish["reason"] or wish["original"]) and not has_died(headers, wish["reason"], wish["original"]):
            return
        portion.matched += 1
        home = _destination(wish, headers, letter)
        if home is None:
            portion.keep(NOT_DEAD)
        elif replays_of(headers) and not wish["again"]:
            portion.keep(REPLAYED)
        elif not self._may_publish(vhost, wish["user"], home):
            portion.keep(FORBIDDEN)
        else:
            self._take(local, vhost, portion, letter, revive(properties, home.keys), home, dry=wish["dry_run"])

    def _take(
        self,
        local: "Local",
        vhost: "Vhost",
        portion: Portion,
        letter: Run,
        properties: Properties,
        home: Home,
        *,
        dry: bool,
    ) -> None:
        encoded, position = properties.encode(), letter.first
        content = assemble(1, encoded, body_of(letter.contents[0]), FRAME_MAX)
        try:
            targets = vhost.find(home.exchange, home.keys[0], properties.headers or {}, content)
        except ChannelException:
            targets = []
        if not targets:
            portion.keep(UNROUTABLE)
        elif dry:
            portion.would_go(Way(home.exchange, home.keys, tuple(target.record.name for target in targets)))
        else:
            address = make_address(home.exchange, home.keys[0])
            (run,) = local.pass_on(Run([content], address, traits_of_properties(encoded), first=position))
            local.queue.take_aside(portion, position, position)
            portion.held.append((position, Parcel(run, targets)))

    def _may_publish(self, vhost: "Vhost", user: str | None, home: Home) -> bool:
        if user is None:
            return True
        try:
            vhost.check_publish(self._hall.access(user, vhost.name), home.exchange, home.keys[0])
        except ChannelException:
            return False
        return True


def _may_go_on(local: "Local") -> bool:
    """Else a successor may send the same, or has given it to somebody."""
    return local.master.gives and not local.ended


def _destination(wish: Fields, headers: dict[str, Any], letter: Run) -> Home | None:
    """Where it goes: as somebody wishes, or home."""
    if wish["to"] is not None:
        return Home("", (wish["to"],), "")
    home = home_of(headers)
    if wish["exchange"] is None:
        return home
    if wish["key"] is not None:
        return Home(wish["exchange"], (wish["key"],), "")
    return Home(wish["exchange"], (split_address(letter.address)[1],) if home is None else home.keys, "")
