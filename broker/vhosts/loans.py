"""What consumers with a limit of their channel have lent to one master.

Decides when what is unused of a loan goes back: as soon as no message is being announced or read for anybody. It must
not know channels: a borrower repays by itself.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from broker.mirroring.master import Master
    from broker.vhosts.guests import Guest


class Loans:
    """The loans to one master."""

    def __init__(self, master: "Master") -> None:
        self._master = master
        self.borrowers: dict[Guest, None] = {}

    def add(self, consumer: "Guest") -> None:
        """A consumer was lent room for this turn, or until the messages that are there may be given out."""
        self.borrowers[consumer] = None

    def call_in(self) -> None:
        """Unless messages are being announced or loaded for somebody, what is unused is of no use here."""
        queue = self._master.queue
        if not (self._master.gives and (queue.wants_open() or queue.wants_contents())):
            borrowers, self.borrowers = self.borrowers, {}
            for borrower in borrowers:
                borrower.repay()
