"""How much a cell shows. Text that is printed is bounded by the C half; values are, here.

A value whose plain text is too long (a repr of 200 MB) is shown with its beginning and its end; all
of it goes to a file that a note behind it links to.
"""

from __future__ import annotations

import os
import re
import sys
from typing import Any

from pxkernel import _kernel

VARIABLE = "PX_OUTPUT_LIMIT"
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
_DEFAULT = 1 << 20

# Characters of plain text that are shown whole. Read for every value, so it is kept here.
_longest: float = _DEFAULT


def parse(text: str) -> int:
    """Bytes: ``20M``, ``500k``, a number; ``off`` is 0, ``default`` -1. ValueError for the rest."""
    word = text.strip().lower()
    if word in ("off", "none"):
        return 0
    if word in ("default", ""):
        return -1
    match = re.fullmatch(r"([0-9.]+) *([kmg]?)b?", word)
    try:
        number, unit = match.groups() if match else ("", "")
        return int(float(number) * _UNITS[unit])
    except ValueError:
        message = f"an output limit is a size (20M, 500k), 'off' or 'default', not {text!r}"
        raise ValueError(message) from None


def set_limit(text: str) -> None:
    """Bound what a cell shows, see ``parse``."""
    global _longest
    most = parse(text)
    _kernel.set_output_limit(most)
    _longest = float("inf") if most == 0 else most if most > 0 else _DEFAULT


def limit_in_words() -> str:
    """What holds now."""
    most, burst, _ = _kernel.output_limits()
    if most == 0:
        return "A cell shows all of its output."
    at_once = f" ({burst / 1e6:.1f} MB at once)" if burst < most else ""
    return f"A cell shows up to {most / 1e6:.1f} MB of output{at_once}; more goes to a file."


def start(configured: str) -> None:
    """The first limit: what is configured, else what the environment says. One that cannot be read
    is told on the terminal and counts as none."""
    text = configured or os.environ.get(VARIABLE, "")
    try:
        set_limit(text)
    except ValueError as error:
        print(f"pxkernel: {error}", file=sys.__stderr__)


def shorten(data: dict[str, Any]) -> tuple[dict[str, Any], bytes | None]:
    """``data`` with a plain text that a page can hold, and a note to publish behind it, or None."""
    text = data.get("text/plain")
    if not isinstance(text, str) or len(text) <= _longest:
        return data, None
    _, burst, tail = _kernel.output_limits()
    head = text[: burst // 2]
    end = text[len(text) - tail :] if tail else ""
    missing = len(text) - len(head) - len(end)
    sentence, note = _kernel.spill(text, missing)
    return {**data, "text/plain": f"{head}\n\n… {sentence}\n\n{end}"}, note
