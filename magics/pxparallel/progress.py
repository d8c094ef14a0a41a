"""A progress bar that appears only when something takes long, and only where tqdm is installed."""

from __future__ import annotations

import sys
import time
from typing import Any

REDRAW_SECONDS = 0.5
"""How often a bar is drawn while nothing changes: its clock goes on."""


class Bar:
    """``with Bar("f", 10) as bar: bar.update(3)``; shown after ``after`` seconds, never if < 0."""

    def __init__(
        self, description: str, total: int, *, unit: str = "tasks", after: float = 0.0
    ) -> None:
        self.description = description
        self.total = total
        self.unit = unit
        self.after = after
        self._start = time.monotonic()
        self._bar: Any = None
        self._drawn = 0.0

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *failed: Any) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def wait(self) -> float | None:
        """Seconds until the bar wants to be shown or updated; None if it never does."""
        if self.after < 0:
            return None
        if self._bar is not None:
            return 0.5
        return max(0.0, self.after - (time.monotonic() - self._start))

    def update(self, done: int) -> None:
        """``done`` of ``total`` are done."""
        if self.after < 0:
            return
        if self._bar is None:
            if time.monotonic() - self._start < self.after or (done >= self.total and self.after):
                return
            self._bar = self._make()
            if self._bar is None:
                self.after = -1
                return
        now = time.monotonic()
        if done != self._bar.n or now - self._drawn >= REDRAW_SECONDS:
            self._bar.n = done
            self._bar.refresh()
            self._drawn = now

    def _make(self) -> Any:
        try:
            from tqdm import tqdm
        except ImportError:
            return None
        bar = tqdm(
            desc=self.description,
            total=self.total,
            unit=self.unit,
            file=sys.stdout,
            dynamic_ncols=True,
        )
        bar.start_t = time.time() - (time.monotonic() - self._start)
        return bar
