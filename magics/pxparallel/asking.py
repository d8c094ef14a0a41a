"""What engines ask: ``input()``, ``getpass`` and debuggers on an engine, answered at this end.

Called by the thread that waits for a result. In a notebook the question stands in the cell that
waits, in a terminal it is the terminal's. The prompt names the engine: ``[stdin:0] name? ``.
"""

from __future__ import annotations

import getpass
import sys

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
