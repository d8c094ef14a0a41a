"""The numbers of cells, In[n]: each used once, also when cells run in several shells.

In IPython there is one counter, which a cell that is stored takes its number from and counts up.
Here such a cell has its number from its very beginning; in its thread the counter goes on from that
number until the cell ends, elsewhere it is the next one that is free.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Numbers:
    """The data descriptor behind ``execution_count``."""

    def __init__(self) -> None:
        self.next = 1
        self.lock = threading.Lock()
        self.here = threading.local()

    def __get__(self, owner: Any, kind: Any = None) -> Any:
        if owner is None:
            return self
        return getattr(self.here, "number", None) or self.next

    def __set__(self, owner: Any, value: int) -> None:
        here = self.here
        before = getattr(here, "number", None)
        with self.lock:
            if before is None:
                self.next = value
            elif value > before:  # IPython counts up when it has taken the number
                here.last = before
                here.number = value
            else:
                here.number = self.next = value

    def begin(self) -> None:
        """A cell that is stored begins in this thread."""
        with self.lock:
            self.here.number = self.next
            self.here.last = None
            self.next += 1

    @contextmanager
    def nested(self) -> Iterator[None]:
        """Cells begin and end inside, while one of this thread may be running outside."""
        here = self.here
        outside = getattr(here, "number", None), getattr(here, "last", None)
        try:
            yield
        finally:
            here.number, here.last = outside

    def end(self) -> int:
        """It has ended; the number to say in its reply. Of one that is not stored, the last."""
        number = getattr(self.here, "number", None)
        if number is None:
            return self.next - 1
        self.here.number = None
        used = self.here.last
        with self.lock:
            if used is not None:
                self.next = max(self.next, used + 1)
            elif self.next == number + 1:
                self.next = number  # given back
        return used or number - 1
