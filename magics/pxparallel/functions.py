"""Functions that run elsewhere when they are called here."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any


class RemoteFunction:
    """A function that runs on a view's engines: ``@view.remote(block=True)``."""

    def __init__(self, view: Any, function: Any, block: bool | None = None, **flags: Any) -> None:
        self.view = view
        self.function = function
        self.block = block
        self.flags = flags
        functools.update_wrapper(self, function, updated=())
        text = f"{type(self).__name__} of a view's engines.\n\n{function.__doc__ or ''}"
        self.__doc__ = text.strip()

    @property
    def func(self) -> Any:
        """The function itself."""
        return self.function

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.__name__}>"  # type: ignore[attr-defined]

    def __reduce__(self) -> tuple[Any, ...]:
        # On an engine there is no view: there it is the function itself.
        return _itself, (self.function,)

    def _flags(self) -> dict[str, Any]:
        block = self.view.block if self.block is None else self.block
        return {"block": block, **self.flags}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with self.view.temp_flags(**self._flags()):
            return self.view.apply(self.function, *args, **kwargs)


class ParallelFunction(RemoteFunction):
    """A function called with pieces of sequences, one call for each engine."""

    def __init__(
        self, view: Any, function: Any, dist: str = "b", block: bool | None = None, **flags: Any
    ) -> None:
        self.dist = dist
        self.options = {
            name: flags.pop(name)
            for name in ("ordered", "chunksize", "return_exceptions")
            if name in flags
        }
        super().__init__(view, function, block, **flags)

    @property
    def ordered(self) -> bool:
        """False: results of a load-balanced map come in the order in which they are there."""
        return self.options.get("ordered", True)

    @property
    def chunksize(self) -> int | None:
        """Items in a task of a load-balanced map, if it was given."""
        return self.options.get("chunksize")

    def __call__(self, *sequences: Any) -> Any:
        """Give each engine its pieces; the results joined."""
        from .pieces import call_pieces

        return call_pieces(self, sequences)

    def map(self, *sequences: Any) -> Any:
        """Call the function for each item."""
        with self.view.temp_flags(**self._flags()):
            return self.view.map(self.function, *sequences, **self._map_options())

    def _map_options(self) -> dict[str, Any]:
        options = dict(self.options)
        if type(self.view).__name__ != "LoadBalancedView":
            options.pop("ordered", None)
            options.pop("chunksize", None)
        return options


def _itself(function: Any) -> Any:
    return function


def remote(view: Any, block: bool | None = None, **flags: Any) -> Callable[[Any], RemoteFunction]:
    """Decorator: the function runs on the view's engines."""
    return lambda function: RemoteFunction(view, function, block=block, **flags)


def parallel(
    view: Any, dist: str = "b", block: bool | None = None, ordered: bool = True, **flags: Any
) -> Callable[[Any], ParallelFunction]:
    """Decorator: the function is called with pieces of sequences."""
    return lambda function: ParallelFunction(
        view, function, dist=dist, block=block, ordered=ordered, **flags
    )


def interactive(f: Any) -> Any:
    """The function as if it had been defined in the notebook: names are those of the engine."""
    import types

    from ._remote import user_namespace

    if isinstance(f, types.FunctionType):
        made = types.FunctionType(
            f.__code__, user_namespace(), f.__name__, f.__defaults__, f.__closure__
        )
        made.__kwdefaults__ = f.__kwdefaults__
        made.__dict__.update(f.__dict__)
        f = made
    f.__module__ = "__main__"
    return f
