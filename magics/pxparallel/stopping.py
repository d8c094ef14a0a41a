"""Stopping what was submitted.

Tasks that wait are taken out of the engines' queues, those that run are interrupted; their answers
are waited for, a moment.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from .results import Slot


def wait_task(client: Any, task: Any) -> None:
    """Wait for a task, or until an engine died with its part; Ctrl-C interrupts the engines."""
    try:
        task.wait_whole()
    except KeyboardInterrupt:
        interrupt_slots(client, [(task, index) for index in range(task.n)])
        raise KeyboardInterrupt from None


def interrupt_slots(client: Any, slots: Sequence[Slot], signal: Any = "SIGINT") -> None:
    """Stop what is pending: queued tasks are aborted, running ones interrupted; bounded wait."""
    pending = [(task, index) for task, index in slots if not task.slot_done(index)]
    if not pending:
        return
    try:
        _abort(client, pending, interrupt=signal == "SIGINT")
        _settle(pending, 0.05)
        engines = {task.engine(index) for task, index in pending if not task.slot_done(index)}
        engines.discard(None)
        if engines:
            client._signal(signal, sorted(engines))
            _settle(pending, 2.0)
    except (RuntimeError, OSError):
        return  # the connection is gone: the slots say so


def _abort(client: Any, slots: Sequence[Slot], interrupt: bool = False) -> None:
    """Have the controller abort tasks: our own by number, fetched ones by message id."""
    own = {task.id for task, _ in slots if not task.fetched}
    others = [task.msg_id for task, _ in slots if task.fetched]
    if own:
        client._abort_tasks(own, interrupt=interrupt)
    if others:
        client._abort_others(others, interrupt)


def abort_slots(client: Any, slots: Sequence[Slot]) -> None:
    """Take what has not started out of the queues.

    The order travels beside the requests and may overtake one: it is given again for those that
    have not answered, a few times.
    """
    for _ in range(3):
        pending = [(task, index) for task, index in slots if not task.slot_done(index)]
        if not pending:
            return
        _abort(client, pending)
        _settle(pending, 0.02)


def _settle(slots: Sequence[Slot], seconds: float) -> None:
    end = time.monotonic() + seconds
    for task, index in slots:
        left = end - time.monotonic()
        if left <= 0 or not task.wait(left, index, answer=False):
            return
