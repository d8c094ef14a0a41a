"""What a protocol check is, and the list of all of them.

A check is a sentence, a function that observes something of a running kernel, and the value that it
must observe. Every check runs against this kernel and against ipykernel. Where ipykernel does
otherwise, ``ipykernel=Differs(value, why)`` says what is seen there instead and why ours is not the
same; a difference that is gone fails the test, as a check that no longer holds does.

    execution = Section("Execution")

    @execution("a value becomes an execute_result", ["execute_result"])
    def value(kernel):
        return kernel.run("1 + 1").shown
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Differs:
    """What ipykernel shows in place of what is expected here, and why."""

    value: Any
    why: str


@dataclass(frozen=True)
class OnlyHere:
    """A check that cannot be put to ipykernel, and why."""

    why: str


@dataclass(frozen=True)
class Check:
    """One row of the catalogue."""

    name: str
    section: str
    sentence: str
    expected: Any
    observe: Callable[[Any], Any]
    ipykernel: Differs | OnlyHere | None = None
    own: bool = False
    """The check gets a kernel that no other check has used."""
    start: dict[str, Any] | None = field(default=None, hash=False)
    """How that kernel is started (``Subject``'s options); with it, ``own`` is meant."""

    def expected_of(self, program: str) -> Any:
        """What must be observed of ``program``."""
        if program == "ipykernel" and isinstance(self.ipykernel, Differs):
            return self.ipykernel.value
        return self.expected


CHECKS: list[Check] = []


class Section:
    """The checks of one part of the protocol; call it to add one."""

    def __init__(self, title: str) -> None:
        self.title = title

    def __call__(
        self,
        sentence: str,
        expected: Any,
        *,
        ipykernel: Differs | OnlyHere | None = None,
        own: bool = False,
        start: dict[str, Any] | None = None,
    ) -> Callable[[Callable[[Any], Any]], Callable[[Any], Any]]:
        def add(observe: Callable[[Any], Any]) -> Callable[[Any], Any]:
            name = observe.__name__
            if any(known.name == name for known in CHECKS):
                raise ValueError(f"two checks are called {name}")
            alone = own or start is not None
            CHECKS.append(
                Check(name, self.title, sentence, expected, observe, ipykernel, alone, start)
            )
            return observe

        return add
