"""Single keys of a terminal, as they are pressed.

Decides which bytes are which key. It must not know what keys are for.
"""

import os
import select
import sys
import termios
import tty
from types import TracebackType
from typing import Any, Self

KEYS = {
    "\x1b[A": "up",
    "\x1b[B": "down",
    "\x1b[5~": "page up",
    "\x1b[6~": "page down",
    "\x1b[H": "home",
    "\r": "enter",
    "\n": "enter",
    "\x7f": "backspace",
    "\x08": "backspace",
    "\x1b": "escape",
}
_BYTES_MAX = 1024


class Keyboard:
    """Takes the terminal's keys while it is open; nothing is echoed."""

    def __init__(self, descriptor: int | None = None) -> None:
        self._descriptor = sys.stdin.fileno() if descriptor is None else descriptor
        self._before: list[Any] = []

    def __enter__(self) -> Self:
        self._before = termios.tcgetattr(self._descriptor)
        tty.setcbreak(self._descriptor)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._before)

    def pressed(self, timeout_s: float) -> list[str]:
        """The keys that are pressed until then, as soon as there are any. The end of input is the key `q`."""
        if not select.select([self._descriptor], [], [], timeout_s)[0]:
            return []
        data = os.read(self._descriptor, _BYTES_MAX)
        return keys_of(data.decode(errors="ignore")) if data else ["q"]


def keys_of(text: str) -> list[str]:
    """What a terminal sent, key by key; what is no key that is known is passed over."""
    found: list[str] = []
    while text:
        sequence = next((one for one in KEYS if text.startswith(one) and len(one) > 1), None)
        if sequence is None and text.startswith("\x1b["):
            end = next((at for at, letter in enumerate(text[2:], 2) if "@" <= letter <= "~"), len(text) - 1)
            text = text[end + 1 :]
            continue
        sequence = sequence or text[0]
        if sequence in KEYS or sequence.isprintable():
            found.append(KEYS.get(sequence, sequence))
        text = text[len(sequence) :]
    return found
