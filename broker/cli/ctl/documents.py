"""JSON that is typed on a command line.

Decides how a wrong one is told.
"""

import json
from typing import Any

from broker.cli.ctl.failures import CtlFailure, Exit
from policies.validation import erlang


def read_document(text: str) -> dict[str, Any]:
    """The object in the text. Raises CtlFailure."""
    try:
        value = json.loads(text)
    except ValueError:
        raise CtlFailure(Exit.UNAVAILABLE, "JSON decoding error. Reason: badarg") from None
    if not isinstance(value, dict):
        raise CtlFailure(Exit.UNAVAILABLE, f"{erlang(value)} is not an object")
    return value
