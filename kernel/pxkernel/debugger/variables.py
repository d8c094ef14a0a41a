"""The variables of the notebook between two stops, as the debugger's panel shows them.

While the program is stopped debugpy knows the variables. Otherwise they are read from the namespace
here: names and values in the shape of the protocol, with numbers by which a front end asks for what
is inside a value.
"""

from __future__ import annotations

from collections.abc import Mapping
from reprlib import Repr
from typing import Any

# Names that IPython and the kernel put into the namespace.
_HIDDEN = {
    "In",
    "Out",
    "exit",
    "quit",
    "get_ipython",
    "open",
    "debugpy",
    "ptvsd",
    "_",
    "__",
    "___",
    "_ih",
    "_oh",
    "_dh",
    "_exit_code",
}
# Children of one value that are listed at most.
MOST = 2000

_repr = Repr()
_repr.maxstring = _repr.maxother = _repr.maxlong = 300
_repr.maxlist = _repr.maxtuple = _repr.maxdict = _repr.maxset = 20


def is_shown(name: str) -> bool:
    """Whether a variable of the notebook is the user's."""
    if name in _HIDDEN or name.startswith("_i") or (name.startswith("__") and name.endswith("__")):
        return False
    return not (name.startswith("_") and name[1:].isdigit())


class Explorer:
    """Numbers for values, as long as the front end shows them."""

    def __init__(self, namespace: Mapping[str, Any]) -> None:
        self._values: dict[int, Any] = {}
        self._namespace = namespace

    def roots(self) -> list[dict[str, Any]]:
        """The user's variables."""
        return [self._describe(n, v, n) for n, v in list(self._namespace.items()) if is_shown(n)]

    def children(self, reference: int) -> list[dict[str, Any]]:
        """What is inside the value with this number; nothing for an unknown one."""
        if reference not in self._values:
            return []
        value, path = self._values[reference]
        return [self._describe(name, item, where) for name, item, where in _inside(value, path)]

    def _describe(self, name: str, value: Any, path: str) -> dict[str, Any]:
        reference = 0
        if _has_inside(value):
            reference = len(self._values) + 1
            self._values[reference] = (value, path)
        return {
            "name": name,
            "value": _text(value),
            "type": type(value).__name__,
            "evaluateName": path,
            "variablesReference": reference,
        }


def _text(value: Any) -> str:
    try:
        return _repr.repr(value)
    except Exception as error:
        return f"<repr failed: {type(error).__name__}>"


def _has_inside(value: Any) -> bool:
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        return bool(value)
    if isinstance(value, str | bytes | int | float | complex | type(None)):
        return False
    return bool(getattr(value, "__dict__", None))


def _inside(value: Any, path: str) -> list[tuple[str, Any, str]]:
    if isinstance(value, Mapping):
        items = list(value.items())[:MOST]
        return [(_text(key), item, f"{path}[{_text(key)}]") for key, item in items]
    if isinstance(value, list | tuple):
        return [(str(at), item, f"{path}[{at}]") for at, item in enumerate(value[:MOST])]
    if isinstance(value, set | frozenset):
        return [(str(at), item, "") for at, item in enumerate(list(value)[:MOST])]
    fields = list(vars(value).items())[:MOST]
    return [
        (name, item, f"{path}.{name}")
        for name, item in fields
        if not (name.startswith("__") and name.endswith("__"))
    ]
