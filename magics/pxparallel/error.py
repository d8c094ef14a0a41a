"""The exceptions of tasks, with ipyparallel's names and printed forms, and two kindnesses.

An exception that was raised on an engine comes back as a RemoteError which is at the same
time an instance of the original type, whenever that can be rebuilt here: ``except
ZeroDivisionError`` catches it, and ``.original`` is the rebuilt exception. Several failures
are one CompositeError (of the common type, if they have one); equal ones are shown once,
with the ids of their engines.
"""

from __future__ import annotations

import builtins
import functools
import re
import sys
import types
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

TimeoutError = builtins.TimeoutError
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_COUNT = re.compile(r"\bIn ?\[\d+\]")


def without_colours(text: str) -> str:
    """Text without the escape sequences that colour it."""
    return _ANSI.sub("", text)


def plain_traceback(traceback: str | None) -> str:
    """A traceback without what differs between engines: colours, and numbers of cells."""
    return _COUNT.sub("In[]", _ANSI.sub("", traceback or ""))


class IPythonError(Exception):
    """Base class of all."""


class KernelError(IPythonError):
    """Something about the cluster or its engines."""


class EngineError(KernelError):
    """An engine died, or left, while it owed a result.

    ``engine``, ``signal`` and ``code`` say who and how, ``cause`` in words; None where unknown.
    """

    engine: int | None = None
    signal: int | None = None
    code: int | None = None
    cause: str | None = None


class NoEnginesRegistered(KernelError):
    """There are no engines."""


class NoSuchEngine(KernelError, IndexError):
    """A target that does not exist; the text lists those that do."""


class NoClusterError(KernelError, FileNotFoundError):
    """There is no cluster (of this name); the text says how to start one."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""

    def _render_traceback_(self) -> list[str]:
        """In a notebook the sentence is all that helps."""
        return [f"{type(self).__name__}: {self}"]


class TaskAborted(KernelError):
    """The task was taken out of the queue before it started."""


class TaskTimeout(KernelError):
    """The task took longer than it was given."""


class UnmetDependency(KernelError):
    """A condition of the task does not hold."""


class ImpossibleDependency(UnmetDependency):
    """A condition of the task can never hold."""


class DependencyTimeout(ImpossibleDependency):
    """A condition of the task did not hold in time."""


class InvalidDependency(ImpossibleDependency):
    """What the task depends on failed."""


class TaskRejectError(KernelError):
    """The task refused to run here."""


class RemoteError(KernelError):
    """An exception raised on an engine; also an instance of its type where that is known here."""

    ename: str
    evalue: str
    traceback: str
    engine_info: dict[str, Any]
    original: BaseException | None = None

    def __init__(
        self,
        ename: str,
        evalue: str,
        traceback: str | Sequence[str] = "",
        engine_info: dict[str, Any] | None = None,
    ) -> None:
        self.ename = ename
        self.evalue = evalue
        self.traceback = traceback if isinstance(traceback, str) else "\n".join(traceback)
        self.engine_info = engine_info or {}
        self.args = (ename, evalue)

    @property
    def engine_id(self) -> int | None:
        """The engine that raised."""
        return self.engine_info.get("engine_id")

    def _label(self) -> str:
        return _label([self.engine_info])

    def __repr__(self) -> str:
        engine = self.engine_info.get("engine_id", "?")
        return f"<RemoteError[{engine}]:{self.ename}({self.evalue})>"

    def __str__(self) -> str:
        return f"{self._label()} {self.ename}: {self.evalue}"

    def __reduce__(self) -> tuple[Any, ...]:
        args = (self.ename, self.evalue, self.traceback, self.engine_info)
        return _rebuild, (args, self.original)

    def render_traceback(self) -> list[str]:
        """Where it happened and the engine's traceback, as lines."""
        return [self._label(), *(self.traceback or f"{self.ename}: {self.evalue}").splitlines()]

    def _render_traceback_(self) -> list[str]:
        """What IPython shows instead of our own frames; with the notes that were added here."""
        return [*self.render_traceback(), *getattr(self, "__notes__", ())]

    def print_traceback(self, excid: int | None = None) -> None:
        """Print what ``render_traceback`` gives."""
        print("\n".join(self.render_traceback()))


class LostEngineError(RemoteError, EngineError):
    """The EngineError that a result raises: its engine died, or left."""

    def __init__(self, evalue: str, engine: int | None = None) -> None:
        info = {} if engine is None else {"engine_id": engine, "method": "apply"}
        RemoteError.__init__(self, "EngineError", evalue, "", info)
        self.engine = engine

    def __str__(self) -> str:
        return self.evalue

    def __reduce__(self) -> tuple[Any, ...]:
        facts = (self.signal, self.code, self.cause)
        return _rebuild_lost, (self.evalue, self.engine, facts)

    def render_traceback(self) -> list[str]:
        """One line: there is no traceback of what was killed."""
        return [f"EngineError: {self.evalue}"]


LostEngineError.__name__ = LostEngineError.__qualname__ = "EngineError"


def _rebuild_lost(evalue: str, engine: int | None, facts: tuple[Any, ...]) -> LostEngineError:
    lost = LostEngineError(evalue, engine)
    lost.signal, lost.code, lost.cause = facts
    return lost


class CompositeError(RemoteError):
    """Several engines failed. ``elist``: (ename, evalue, traceback, engine_info) of each."""

    tb_limit = 4
    msg: str
    elist: list[tuple[str, str, str, dict[str, Any]]]
    errors: list[BaseException]

    def __init__(self, msg: str, elist: Iterable[Any], errors: Iterable[Any] = ()) -> None:
        self.msg = msg
        self.elist = [tuple(item) for item in elist]
        self.errors = list(errors)
        self.args = tuple(item[0] for item in self.elist)
        names = set(self.args)
        self.ename = names.pop() if len(names) == 1 else "CompositeError"
        self.evalue = msg
        self.traceback = ""
        self.engine_info = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild_composite, (self.msg, self.elist, self.errors)

    def _groups(self) -> list[tuple[list[dict[str, Any]], tuple[Any, ...]]]:
        """Equal errors together: the engines' infos, and one of the errors."""
        groups: dict[tuple[Any, ...], tuple[list[dict[str, Any]], tuple[Any, ...]]] = {}
        for item in self.elist:
            ename, evalue, traceback, info = item
            same = (ename, evalue, plain_traceback(traceback), (info or {}).get("method"))
            groups.setdefault(same, ([], item))[0].append(info or {})
        return list(groups.values())

    def __str__(self) -> str:
        groups = self._groups()
        lines = [str(self.msg)]
        for infos, item in groups[: self.tb_limit]:
            lines.append(f"{_label(infos)}{item[0]}: {item[1]}")
        if len(groups) > self.tb_limit:
            lines.append(f".... {len(groups) - self.tb_limit} more exceptions ...")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"CompositeError({len(self.elist)})"

    def render_traceback(self, excid: int | None = None) -> list[str]:
        """The tracebacks of all (the first ``tb_limit`` different ones), or of one."""
        if excid is not None:
            ename, evalue, traceback, info = self._item(excid)
            return [_label([info or {}]) + ":", *(traceback or f"{ename}: {evalue}").splitlines()]
        groups = self._groups()
        lines: list[str] = []
        for infos, (ename, evalue, traceback, _) in groups[: self.tb_limit]:
            lines.append(_label(infos) + ":")
            lines.extend((traceback or f"{ename}: {evalue}").splitlines())
            lines.append("")
        if len(groups) > self.tb_limit:
            lines.append(f"... {len(groups) - self.tb_limit} more exceptions ...")
        return lines

    def print_traceback(self, excid: int | None = None) -> None:
        """Print what ``render_traceback`` gives."""
        print("\n".join(self.render_traceback(excid)))

    def _item(self, excid: int) -> tuple[str, str, str, dict[str, Any]]:
        try:
            return self.elist[excid]
        except IndexError:
            raise IndexError(
                f"there is no exception {excid}: {len(self.elist)} were collected"
            ) from None

    def raise_exception(self, excid: int = 0) -> None:
        """Raise one of the collected exceptions."""
        item = self._item(excid)
        if excid < len(self.errors):
            raise self.errors[excid]
        raise RemoteError(*item)


class AlreadyDisplayedError(RemoteError):
    """The errors were shown as they came; this one only says how many there were."""

    def __init__(self, original_error: BaseException) -> None:
        self.original_error = original_error
        count = len(getattr(original_error, "elist", [None]))
        text = f"{count} error{'s' if count != 1 else ''}"
        RemoteError.__init__(self, "AlreadyDisplayedError", text)
        self.original = original_error

    def __repr__(self) -> str:
        return f"<AlreadyDisplayedError: {self.evalue}>"

    def __str__(self) -> str:
        return self.evalue

    def __reduce__(self) -> tuple[Any, ...]:
        return AlreadyDisplayedError, (self.original_error,)

    def render_traceback(self) -> list[str]:
        """One line: the rest stands above."""
        return [self.evalue]


# --- which engines, in words -----------------------------------------------------------------


def engines_text(ids: Iterable[Any]) -> str:
    """Engine ids with runs of three and more shortened: ``0,1``, ``0-5,8``."""
    words: list[str] = []
    run: list[int] = []

    def close() -> None:
        if len(run) > 2:
            words.append(f"{run[0]}-{run[-1]}")
        else:
            words.extend(map(str, run))
        run.clear()

    for number in ids:
        if not isinstance(number, int):
            close()
            words.append(str(number))
            continue
        if run and number != run[-1] + 1:
            close()
        run.append(number)
    close()
    return ",".join(words)


def _label(infos: Sequence[dict[str, Any]]) -> str:
    """``[0:apply]``, ``[0,1:apply]`` or ``[Engine Exception]``."""
    if not infos or not infos[0] or infos[0].get("engine_id") is None:
        return "[Engine Exception]"
    method = infos[0].get("method") or "apply"
    return f"[{engines_text(info.get('engine_id') for info in infos)}:{method}]"


# --- rebuilding the original type ----------------------------------------------------------------


_NEVER = (StopIteration, StopAsyncIteration)


_OF_THE_CLUSTER = {
    kind.__name__: kind
    for kind in (
        EngineError,
        NoEnginesRegistered,
        TaskAborted,
        TaskTimeout,
        UnmetDependency,
        ImpossibleDependency,
        DependencyTimeout,
        InvalidDependency,
    )
}
"""What the controller answers itself, by name."""


@functools.lru_cache(maxsize=512)
def _mixed(base: type[RemoteError], original: type[BaseException]) -> type[RemoteError]:
    """A subclass of both, that looks like ``base``; ``base`` alone where that cannot be."""
    if (
        not issubclass(original, Exception)
        or issubclass(original, _NEVER)
        or issubclass(original, RemoteError)
        or original in (Exception, ExceptionGroup)
        or issubclass(original, BaseExceptionGroup)
    ):
        return base
    try:
        return types.new_class(
            base.__name__,
            (base, original),
            exec_body=lambda body: body.update(
                __module__=base.__module__, __qualname__=base.__qualname__, __doc__=base.__doc__
            ),
        )
    except TypeError:
        return base


def remote_error(
    ename: str,
    evalue: str,
    traceback: str | Sequence[str],
    engine_info: dict[str, Any] | None,
    original: BaseException | None = None,
) -> RemoteError:
    """A RemoteError that is also of the original's type, with what the original carries."""
    if original is None:
        # Not sent along: the engine could not pickle it. Its type is known if it is Python's own.
        kind = getattr(builtins, ename, None) or _OF_THE_CLUSTER.get(ename)
        known = kind if isinstance(kind, type) and issubclass(kind, BaseException) else Exception
    else:
        known = type(original)
    error = _mixed(RemoteError, known)(ename, evalue, traceback, engine_info)
    if original is not None:
        _carry_over(original, error)
        error.original = original
    return error


def _carry_over(original: BaseException, error: RemoteError) -> None:
    """Attributes of the original (``errno``, ``filename``, the user's own) on the error."""
    for name, value in vars(original).items():
        if name not in vars(error) and not name.startswith("__"):
            setattr(error, name, value)
    for kind in type(original).__mro__:
        if kind in (Exception, BaseException, object):
            continue
        for name, slot in vars(kind).items():
            if not isinstance(slot, types.MemberDescriptorType | types.GetSetDescriptorType):
                continue
            if name.startswith("_") or name in ("args", "original"):
                continue
            try:
                setattr(error, name, getattr(original, name))
            except (AttributeError, TypeError, ValueError):
                continue


def composite_error(method: str, errors: Sequence[BaseException]) -> CompositeError:
    """One error for several; an instance of their type if all are of the same."""
    items = []
    kinds = set()
    for error in errors:
        items.append(_as_item(error))
        original = getattr(error, "original", None)
        kinds.add(type(original) if original is not None else _own_kind(error))
    known = kinds.pop() if len(kinds) == 1 else Exception
    base = _mixed(CompositeError, known)
    return base(f"one or more exceptions raised in: {method}", items, errors)


def _own_kind(error: BaseException) -> type[BaseException]:
    """The builtin type that a RemoteError was mixed with, or its own."""
    if isinstance(error, EngineError):
        return EngineError
    if isinstance(error, RemoteError):
        kind = getattr(builtins, error.ename, None)
        if isinstance(kind, type) and isinstance(error, kind):
            return kind
        return Exception
    return type(error)


def _as_item(error: BaseException) -> tuple[str, str, str, dict[str, Any]]:
    if isinstance(error, RemoteError):
        return error.ename, error.evalue, error.traceback, error.engine_info
    engine = getattr(error, "engine", None)
    info = {} if engine is None else {"engine_id": engine, "method": "apply"}
    return type(error).__name__, str(error), "", info


def _rebuild(args: tuple[Any, ...], original: BaseException | None) -> RemoteError:
    return remote_error(*args, original)


def _rebuild_composite(msg: str, elist: list[Any], errors: list[Any]) -> CompositeError:
    error = composite_error("", errors) if errors else CompositeError(msg, elist)
    error.msg = error.evalue = msg
    return error


def engine_error(content: dict[str, Any]) -> EngineError:
    """The EngineError of a request whose engine is gone."""
    facts = (content.get("signal"), content.get("code"), content.get("cause"))
    evalue = content.get("evalue") or "the engine is gone"
    return _rebuild_lost(evalue, content.get("engine"), facts)


def error_of_reply(content: dict[str, Any], buffers: Sequence[Any] = ()) -> BaseException:
    """The exception that a reply with status error or aborted stands for."""
    info = content.get("engine_info") or {}
    if content.get("status") == "aborted":
        return remote_error("TaskAborted", "the task was aborted before it started", "", info)
    ename = content.get("ename") or "Exception"
    if ename == "EngineError" and not content.get("traceback"):
        return engine_error(content)
    original: Any = None
    if buffers:
        from . import _remote as remote

        try:
            original = remote.loads(buffers[0], buffers[1:])
        except Exception:
            original = None
        if not isinstance(original, BaseException):
            original = None
    return remote_error(
        ename,
        content.get("evalue") or "",
        content.get("traceback") or [],
        info,
        original,
    )


def no_such_engine(target: Any, ids: Sequence[int]) -> KernelError:
    """The error for a target that is not there."""
    if not ids:
        return NoEnginesRegistered(
            "the cluster has no engines (yet): rc.wait_for_engines(n) waits for them, "
            "`pxcluster scale -n N` starts some"
        )
    return NoSuchEngine(f"No such engine: {target}; engines are {engines_text(ids)}")


# --- ipyparallel's helpers --------------------------------------------------------------------


def wrap_exception(engine_info: dict[str, Any] | None = None) -> dict[str, Any]:
    """The exception being handled, as the content of an error reply."""
    import traceback

    kind, value, _ = sys.exc_info()
    return {
        "status": "error",
        "ename": kind.__name__ if kind else "None",
        "evalue": str(value),
        "traceback": traceback.format_exc().splitlines(),
        "engine_info": engine_info or {},
    }


def unwrap_exception(content: dict[str, Any]) -> BaseException:
    """The exception of such a content."""
    return error_of_reply(content)


def collect_exceptions(
    rdict_or_list: Mapping[Any, Any] | Sequence[Any], method: str = "unspecified"
) -> Mapping[Any, Any] | Sequence[Any]:
    """The results if none is an exception, else raise a CompositeError of those that are."""
    results = rdict_or_list.values() if isinstance(rdict_or_list, Mapping) else rdict_or_list
    errors = [result for result in results if isinstance(result, BaseException)]
    if not errors:
        return rdict_or_list
    raise composite_error(method, errors)


__all__ = [
    "AlreadyDisplayedError",
    "CompositeError",
    "DependencyTimeout",
    "EngineError",
    "IPythonError",
    "ImpossibleDependency",
    "InvalidDependency",
    "KernelError",
    "NoClusterError",
    "NoEnginesRegistered",
    "NoSuchEngine",
    "RemoteError",
    "TaskAborted",
    "TaskRejectError",
    "TaskTimeout",
    "TimeoutError",
    "UnmetDependency",
    "collect_exceptions",
    "unwrap_exception",
    "wrap_exception",
]
