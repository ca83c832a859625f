"""How a command of `warren ctl` ends: exit codes of rabbitmqctl, and its words on stderr.

Decides codes and the frame around a text. Source: RabbitMQ 3.10's command line (codes of sysexits.h).
"""

from enum import IntEnum


class Exit(IntEnum):
    """What scripts look at."""

    USAGE = 64
    DATA = 65
    NO_USER = 67
    UNAVAILABLE = 69
    """The node is not there, or it refused."""
    SOFTWARE = 70
    TIMEOUT = 75
    CONFIGURATION = 78


class CtlFailure(Exception):
    """A command could not be done. `bare`: the text stands alone, else below a line that says `Error:`."""

    def __init__(self, code: Exit, text: str, *, bare: bool = False) -> None:
        super().__init__(text)
        self.code = code
        self.lines = text if bare else f"Error:\n{text}"


class Denied(Exception):
    """The node understood the request and refused it; commands that know better words for it catch this."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.code = code
        self.why = why


class Misuse(Exception):
    """What was typed cannot be right; the usage line is shown with it."""

    def __init__(self, text: str, code: Exit = Exit.USAGE) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


def no_vhost(name: str) -> CtlFailure:
    """The virtual host that a command is about does not exist."""
    return CtlFailure(Exit.DATA, f"Virtual host '{name}' does not exist", bare=True)


def validation_failed(why: str) -> CtlFailure:
    """A document that says what cannot be."""
    return CtlFailure(Exit.UNAVAILABLE, f"Validation failed\n\n{why}\n")


NO_PARAMETER = CtlFailure(Exit.UNAVAILABLE, "Parameter does not exist")
"""RabbitMQ keeps policies as parameters."""
