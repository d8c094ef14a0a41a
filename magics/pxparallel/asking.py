"""What engines ask: ``input()``, ``getpass`` and debuggers on an engine, answered at this end.

Called by the thread that waits for a result. In a notebook the question stands in the cell that
waits, in a terminal it is the terminal's. The prompt names the engine: ``[stdin:0] name? ``. Who
awaits a result, or waits for it as for a Future, has no thread that could ask: then one is made for
the question.
"""

from __future__ import annotations

import contextlib
import contextvars
import getpass
import sys
import threading
from collections.abc import Iterable
from typing import Any

from .display import Speaker


def ask(engine: int, prompt: str, password: bool, said: str) -> str:
    """Show what the engine ``said`` before it asked, ask, return the answer.

    Whatever is raised here but KeyboardInterrupt becomes an EOFError with the same text there.
    """
    if said:
        speaker = Speaker()
        speaker.say("stdout", engine, said)
        speaker.pause()
    sys.stdout.flush()
    text = f"[stdin:{engine}] {prompt}"
    return getpass.getpass(text) if password else input(text)


_one = threading.Lock()  # a person answers one question after the other


def listen(tasks: Iterable[Any]) -> None:
    """Answer what the engines of C tasks ask from now on, as the code that calls this would."""
    context = contextvars.copy_context()  # outputs and questions made in it are the cell's

    def asked(task: Any) -> None:
        thread = threading.Thread(target=context.copy().run, args=(_answer, task), daemon=True)
        thread.name = "px-answer"
        thread.start()

    for task in tasks:
        task.listen(asked)


def _answer(task: Any) -> None:
    # Interrupted: the question is that of whoever waits next.
    with _one, contextlib.suppress(KeyboardInterrupt):
        task.answer()
