"""Odds and ends that programs import from ``ipyparallel.util``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from .functions import interactive

utc = UTC

__all__ = ["int_keys", "interactive", "is_url", "utc", "utcnow"]


def utcnow() -> datetime:
    """Now, in UTC, and saying so."""
    return datetime.now(UTC)


def is_url(text: Any) -> bool:
    """True for ``scheme://rest``."""
    return isinstance(text, str) and "://" in text and bool(text.partition("://")[0])


def int_keys(mapping: dict[Any, Any]) -> dict[Any, Any]:
    """The dict with keys that are digits turned into numbers, in place."""
    for key in list(mapping):
        if isinstance(key, str) and key.isdigit():
            mapping[int(key)] = mapping.pop(key)
    return mapping
