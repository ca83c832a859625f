"""Sends the supervisor into the background once the cluster is ready.

Decides what the two halves of a fork do. It must not know what the supervisor does.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path

LOG_BYTES_MAX = 1024 * 1024
READY = b"\0"


def fork_supervisor(log_path: Path) -> tuple[int | None, Callable[[], None]]:
    """Forks. The caller's half gets the exit code to end with, once the other half is ready or has failed. The other
    half gets None and what to call when it is ready; until then it writes where the caller would have written.
    """
    receiving, sending = os.pipe()
    sys.stdout.flush()
    child = os.fork()
    if child:
        os.close(sending)
        ready = os.read(receiving, 1) == READY
        os.close(receiving)
        return (0 if ready else os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])), _nothing
    os.close(receiving)
    os.setsid()
    _redirect(os.open(os.devnull, os.O_RDONLY), 0)

    def release() -> None:
        sys.stdout.flush()
        if log_path.exists() and log_path.stat().st_size > LOG_BYTES_MAX:
            log_path.unlink()
        log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        _redirect(os.dup(log), 1)
        _redirect(log, 2)
        os.write(sending, READY)
        os.close(sending)

    return None, release


def _nothing() -> None:
    """There is nobody to release in the caller's half."""


def _redirect(source: int, target: int) -> None:
    os.dup2(source, target)
    os.close(source)
