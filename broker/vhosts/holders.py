"""Who on this node has, or may get, messages of one queue: consumers, and what channels got by basic.get.

Decides nothing: it finds them by channel, tag and number, and remembers of those that lose their master under whose
history they got what they hold. It must not know where the master is.
"""

from typing import TYPE_CHECKING

from broker.vhosts.subscription import Fetcher, Holder, Subscription

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from broker.vhosts.settles import History


class Holders:
    """The holders of one queue here."""

    __slots__ = ("_by_number", "_fetchers", "subscriptions")

    def __init__(self) -> None:
        self.subscriptions: dict[tuple[object, str], Subscription] = {}
        """The consumers by channel and tag."""
        self._by_number: dict[int, Subscription] = {}
        """Those that a master knows, also such as were cancelled and hold something still."""
        self._fetchers: set[Fetcher] = set()

    def known(self, subscription: Subscription) -> None:
        """The master knows this consumer by its number."""
        self._by_number[subscription.number] = subscription

    def find(self, number: int) -> Subscription | None:
        """The consumer that the master knows by this number."""
        return self._by_number.get(number)

    def numbered(self, numbers: "Iterable[int]") -> "Iterator[tuple[int, Holder]]":
        """Those of these numbers that are here."""
        fetchers = {fetcher.number: fetcher for fetcher in self._fetchers}
        for number in numbers:
            holder = self._by_number.get(number) or fetchers.get(number)
            if holder is not None:
                yield number, holder

    def add_fetcher(self, fetcher: Fetcher) -> None:
        """A channel will get messages one by one."""
        self._fetchers.add(fetcher)

    def is_consuming(self, subscription: Subscription) -> bool:
        """Whether it was neither cancelled nor replaced."""
        return self.subscriptions.get((subscription.channel, subscription.tag)) is subscription

    def end(self, subscription: Subscription) -> bool:
        """It consumes no more; False if it did not anyway."""
        if not self.is_consuming(subscription):
            return False
        del self.subscriptions[subscription.channel, subscription.tag]
        return True

    def forget(self, holder: Holder) -> None:
        """Nothing is left of it."""
        if isinstance(holder, Fetcher):
            self._fetchers.discard(holder)
        else:
            self.end(holder)
            self._by_number.pop(holder.number, None)

    def of(self, channel: object) -> list[Subscription]:
        """The consumers of a channel, and those it cancelled that may still hold messages."""
        holders = [*self._by_number.values(), *self.subscriptions.values()]
        return list(dict.fromkeys(holder for holder in holders if holder.channel is channel))

    def held(self) -> list[tuple[int, int]]:
        """The positions of all that their channels have not answered for; it takes a look at everything these hold."""
        holders: list[Holder] = [*self._by_number.values(), *self._fetchers]
        channels = [(holder.channel, holder) for holder in holders]
        return [each for channel, holder in channels if channel is not None for each in channel.held_by(holder)]

    def lose_master(self, history: "History") -> None:
        """The master that served them has gone: what they hold has returned, unless they have answered for it."""
        holders: list[Holder] = [*self._by_number.values(), *self._fetchers]
        for holder in holders:
            holder.alive = False
            holder.history = history
        self._by_number.clear()
        self._fetchers.clear()
        for subscription in self.subscriptions.values():
            subscription.alive = False

    def clear(self) -> list[Subscription]:
        """Forget all; returns the consumers, which are to be told."""
        consumers = list(self.subscriptions.values())
        for subscription in consumers:
            subscription.alive = False
        self.subscriptions.clear()
        self._by_number.clear()
        return consumers
