"""JSON that is typed on a command line.

Decides how a wrong one is told.
"""

import json
from typing import Any

from broker.cli.ctl.failures import CtlFailure, Exit
from policies.validation import erlang


def read_value(text: str) -> Any:
    """What the text says. Raises CtlFailure."""
    try:
        return json.loads(text)
    except ValueError:
        raise CtlFailure(Exit.UNAVAILABLE, "JSON decoding error. Reason: badarg") from None


def read_document(text: str) -> dict[str, Any]:
    """The object in the text. Raises CtlFailure."""
    value = read_value(text)
    if not isinstance(value, dict):
        raise CtlFailure(Exit.UNAVAILABLE, f"{erlang(value)} is not an object")
    return value
