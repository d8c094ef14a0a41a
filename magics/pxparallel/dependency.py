"""Conditions of tasks: ``require``, ``depend`` and ``Dependency``."""

from __future__ import annotations

import functools
import importlib
import types
from collections.abc import Callable, Iterable
from typing import Any

from . import _remote as remote
from .error import UnmetDependency


class dependent:
    """A function that runs only where another one does not return False."""

    def __init__(
        self, function: Any, condition: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> None:
        self.f = function
        self.df = condition
        self.dargs = args
        self.dkwargs = kwargs
        functools.update_wrapper(self, function, updated=())

    def __reduce__(self) -> tuple[Any, ...]:
        return _dependent, (self.f, self.df, self.dargs, self.dkwargs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.check_dependency()
        return self.f(*args, **kwargs)

    def check_dependency(self) -> None:
        """UnmetDependency where the condition returns False."""
        if self.df(*self.dargs, **self.dkwargs) is False:
            name = getattr(self.df, "__name__", repr(self.df))
            raise UnmetDependency(f"{name} does not hold on {remote.place()}")


def _dependent(
    function: Any, condition: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> dependent:
    return dependent(function, condition, *args, **kwargs)


def depend(condition: Callable[..., Any], *args: Any, **kwargs: Any) -> Callable[[Any], dependent]:
    """Decorator: run only where ``condition(*args, **kwargs)`` is not False."""
    return lambda function: dependent(function, condition, *args, **kwargs)


def require(*objects: Any, **names: Any) -> Callable[[Any], dependent]:
    """Decorator: modules (or their names) are imported, functions defined, on the engine first.

    ``name=object`` defines the object under that name.
    """
    modules: list[str] = []
    for one in objects:
        if isinstance(one, str):
            modules.append(one)
        elif isinstance(one, types.ModuleType):
            modules.append(one.__name__)
        elif hasattr(one, "__name__"):
            names[one.__name__] = one
        else:
            raise TypeError(
                f"modules, their names, and functions can be required, not {type(one).__name__}"
            )
    return depend(_provide, modules, names)


def _provide(modules: list[str], names: dict[str, Any]) -> None:
    """Import and define in the engine's namespace."""
    namespace = remote.user_namespace()
    for name in modules:
        try:
            importlib.import_module(name)
        except ImportError as missing:
            raise UnmetDependency(f"{missing} ({remote.place()})") from None
        top = name.partition(".")[0]
        namespace[top] = importlib.import_module(top)
    namespace.update(names)


class Dependency(set[str]):
    """Message ids that a task waits for, and which ends of theirs count."""

    def __init__(
        self,
        dependencies: Any = (),
        all: bool = True,
        success: bool = True,
        failure: bool = False,
    ) -> None:
        if not (success or failure):
            raise ValueError("Must depend on at least one of success or failure")
        self.all = all
        self.success = success
        self.failure = failure
        self.numbers: dict[str, int] = {}
        """Numbers of tasks by id, of those that were given as results, in the client of each."""
        super().__init__(_ids(dependencies, self.numbers))

    def check(self, completed: Iterable[str], failed: Iterable[str] = ()) -> bool:
        """True if the condition holds, when these have completed and those have failed."""
        if not self:
            return True
        counted: set[str] = set()
        if self.success:
            counted.update(completed)
        if self.failure:
            counted.update(failed)
        return self.issubset(counted) if self.all else not self.isdisjoint(counted)

    def unreachable(self, completed: Iterable[str], failed: Iterable[str] = ()) -> bool:
        """True if the condition can never hold any more."""
        if not self:
            return False
        against: set[str] = set()
        if not self.success:
            against.update(completed)
        if not self.failure:
            against.update(failed)
        return not self.isdisjoint(against) if self.all else self.issubset(against)

    def as_dict(self) -> dict[str, Any]:
        """The dependency as plain data."""
        return {
            "all": self.all,
            "success": self.success,
            "failure": self.failure,
            "dependencies": sorted(self),
        }


def _ids(dependencies: Any, numbers: dict[str, int]) -> list[str]:
    """Message ids of whatever names tasks: ids, AsyncResults, or lists of them."""
    if isinstance(dependencies, str):
        return [dependencies]
    if hasattr(dependencies, "msg_ids"):
        ids: list[str] = list(dependencies.msg_ids)
        slots = getattr(dependencies, "_slots", ())
        numbers.update(
            (msg_id, task.id)
            for msg_id, (task, _) in zip(ids, slots, strict=False)
            if not task.fetched
        )
        return ids
    if isinstance(dependencies, Dependency):
        numbers.update(dependencies.numbers)
    found: list[str] = []
    for one in dependencies:
        if not isinstance(one, str) and not hasattr(one, "msg_ids"):
            raise TypeError(f"a task's id or AsyncResult is needed, not {type(one).__name__}")
        found.extend(_ids(one, numbers))
    return found
