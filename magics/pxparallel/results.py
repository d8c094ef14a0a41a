"""What is known of one engine's answer: metadata and replies of executed code."""

from __future__ import annotations

import functools
import weakref
from collections import deque
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

Slot = tuple[Any, int]
"""A C task and the index of an engine's answer in it."""

METADATA_KEYS = (
    "msg_id",
    "submitted",
    "started",
    "completed",
    "received",
    "engine_uuid",
    "engine_id",
    "follow",
    "after",
    "status",
    "execute_input",
    "execute_result",
    "error",
    "stdout",
    "stderr",
    "outputs",
    "data",
    "label",
)


class Metadata(dict[str, Any]):
    """A dict whose items are attributes too."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"there is no metadata {name!r}") from None


def _moment(stamp: Any) -> datetime | None:
    """A time stamp of the wire, or of the clock, as an aware datetime."""
    if stamp is None:
        return None
    if isinstance(stamp, int | float):
        return datetime.fromtimestamp(stamp, UTC)
    if isinstance(stamp, datetime):
        return stamp
    try:
        moment = datetime.fromisoformat(str(stamp).replace("Z", "+00:00"))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def slot_ids(msg_id: str, targets: tuple[int, ...]) -> list[str]:
    """A message id for each answer: the message's own, or one for each of several engines."""
    return [msg_id] if len(targets) < 2 else [f"{msg_id}_{engine}" for engine in targets]


def slot_id(task: Any, index: int) -> str:
    """``slot_ids`` of the one answer: all of them for each of a thousand would be a million."""
    return task.msg_id if task.n < 2 else f"{task.msg_id}_{task.engine(index)}"


def _nothing() -> None:
    """Stands for a reference to what is gone."""


class Results:
    """The last 10,000 asynchronous calls: their ids, and their results while somebody has them."""

    def __init__(self) -> None:
        self._keep(())

    def _keep(self, calls: Iterable[tuple[Any, tuple[Any, ...]]]) -> None:
        self._calls: deque[tuple[Any, tuple[Any, ...]]] = deque(calls, maxlen=10_000)
        self.add = self._calls.append
        """Note a call, described by ``describe``."""

    @staticmethod
    def describe(result: Any, again: bool = False) -> tuple[Any, tuple[Any, ...]]:
        """A call without what it holds: a weak reference, ids and engines of its tasks.

        ``again``: a further result of calls that are known, or not ours: it has no history.
        """
        if again:
            return weakref.ref(result), ()
        if result._lone is not None:
            return weakref.ref(result), (result._lone.described(),)
        return weakref.ref(result), tuple(task.described() for task in result._tasks)

    def note(self, task: Any) -> None:
        """Note a call whose result is with its caller already."""
        self._calls.append((_nothing, (task.described(),)))

    def last(self) -> list[str]:
        """Ids of the last call; none before the first."""
        for _, tasks in reversed(self._calls):
            if tasks:
                return [msg for msg_id, targets, _ in tasks for msg in slot_ids(msg_id, targets)]
        return []

    def living(self) -> list[Any]:
        """Results that somebody still refers to, oldest first."""
        return [result for ref, _ in self._calls if (result := ref()) is not None]

    def history(self) -> list[str]:
        """Ids of all, oldest first."""
        return [
            msg
            for _, tasks in self._calls
            for msg_id, targets, _ in tasks
            for msg in slot_ids(msg_id, targets)
        ]

    def task_ids(self, wanted: set[str]) -> dict[str, int]:
        """Numbers of tasks by message id, as far as they are known here: the latest first."""
        found: dict[str, int] = {}
        for _, tasks in reversed(self._calls):
            for msg_id, targets, number in tasks:
                for msg in slot_ids(msg_id, targets):
                    if msg in wanted:
                        found[msg] = number
            if len(found) == len(wanted):
                break
        return found

    def forget(self, results: list[Any]) -> None:
        """Know these no more; their ids stay in the history."""
        gone = {id(result) for result in results}
        kept = [(ref if id(ref()) not in gone else _nothing, tasks) for ref, tasks in self._calls]
        self._keep(kept)

    def clear(self) -> None:
        """Forget all, and the history."""
        self._calls.clear()

    def outstanding(self) -> set[str]:
        """Ids of those that are not done."""
        return {msg for result in self.living() if not result.done() for msg in result.msg_ids}


def _published(message: dict[str, Any]) -> dict[str, Any]:
    """What ``datapub.publish_data`` sent; nothing if it cannot be unpickled here."""
    try:
        if message["content"].get("px"):
            from . import _remote as remote

            found = remote.loads(message["buffers"][0], message["buffers"][1:])
        else:  # by the real ipyparallel, which then is installed here, too
            from ipyparallel.serialize import deserialize_object

            found = deserialize_object(message["buffers"])[0]
    except Exception:
        return {}
    return dict(found)


def slot_metadata(task: Any, index: int) -> Metadata:
    """The metadata of one engine's answer, as far as it is here."""
    reply = task.reply(index) or {}
    header = reply.get("header") or {}
    described = reply.get("metadata") or {}
    content = reply.get("content") or {}
    outputs = []
    data: dict[str, Any] = {}
    result = None
    for message in task.outputs(index):
        kind = message["msg_type"]
        if kind == "execute_result":
            result = message["content"]
        elif kind in ("display_data", "update_display_data"):
            outputs.append(message["content"])
        elif kind == "data_message":
            data.update(_published(message))
    done = bool(reply)
    completed = _moment(header.get("date"))
    # A fetched reply came to whoever asked for it; when it comes here says nothing of the task.
    received = completed if task.fetched else _moment(reply.get("received"))
    return Metadata(
        msg_id=slot_id(task, index),
        submitted=_moment((reply.get("parent") or {}).get("date") or task.submitted),
        started=_moment(described.get("started")),
        completed=completed,
        received=received,
        engine_uuid=described.get("engine"),
        engine_id=task.engine(index),
        follow=described.get("follow", []),
        after=described.get("after", []),
        status=content.get("status", "error" if done else None),
        execute_input=None,
        execute_result=result,
        error=content if done and content.get("status") == "error" else None,
        stdout=task.stdout(index),
        stderr=task.stderr(index),
        outputs=outputs,
        data=data,
        label=task.label or None,
    )


class ExecuteReply:
    """The answer to executed code; its text is that of the value, if it had one."""

    source = "execute"

    def __init__(self, task: Any, index: int) -> None:
        self._task = task
        self._index = index

    # A thousand engines answer at once, and mostly nobody looks at what they say.
    @functools.cached_property
    def _content(self) -> dict[str, Any]:
        return dict(self._task.reply(self._index)["content"])

    @functools.cached_property
    def metadata(self) -> Metadata:
        """What is known of the answer, and its outputs."""
        return slot_metadata(self._task, self._index)

    @property
    def msg_id(self) -> str:
        """The message id of the request, of each engine one."""
        return str(self.metadata["msg_id"])

    @property
    def execution_count(self) -> int | None:
        """The engine's number of the cell."""
        return self._content.get("execution_count")

    def __getstate__(self) -> dict[str, Any]:
        return {"_content": self._content, "metadata": self.metadata}

    def __getitem__(self, key: str) -> Any:
        return self.metadata[key]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in self.metadata:
            raise AttributeError(f"'ExecuteReply' object has no attribute {name!r}")
        return self.metadata[name]

    def keys(self) -> Iterator[str]:
        """Names of the metadata."""
        return iter(self.metadata)

    def _text(self) -> str:
        result = self.metadata["execute_result"]
        return result["data"].get("text/plain", "") if result else ""

    def __repr__(self) -> str:
        text = self._text()
        if len(text) > 32:
            text = text[:29] + "..."
        return f"<ExecuteReply[{self.execution_count}]: {text}>"

    def __str__(self) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ExecuteReply):
            return NotImplemented
        return (self.msg_id, self._content) == (other.msg_id, other._content)

    __hash__ = None  # type: ignore[assignment]

    def plain(self, colour: bool = False) -> str:
        """``Out[engine:count]: text``; nothing if there was no value."""
        text = self._text()
        if not text:
            return ""
        prompt = f"Out[{self.metadata['engine_id']}:{self.execution_count}]: "
        if colour:
            prompt = f"\x1b[0;31m{prompt}\x1b[0m"
        return prompt + ("\n" if "\n" in text else "") + text

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        result = self.metadata["execute_result"]
        data = dict(result["data"]) if result else {}
        data.pop("text/plain", None)
        return data

    def _form(self, mime: str) -> Any:
        """The value in one form; with its metadata if it has some."""
        data = self._repr_mimebundle_().get(mime)
        result = self.metadata["execute_result"] or {}
        about = (result.get("metadata") or {}).get(mime)
        return (data, about) if about else data

    def _repr_html_(self) -> Any:
        return self._form("text/html")

    def _repr_latex_(self) -> Any:
        return self._form("text/latex")

    def _repr_markdown_(self) -> Any:
        return self._form("text/markdown")

    def _repr_svg_(self) -> Any:
        return self._form("image/svg+xml")

    def _repr_png_(self) -> Any:
        return self._form("image/png")

    def _repr_jpeg_(self) -> Any:
        return self._form("image/jpeg")

    def _repr_json_(self) -> Any:
        return self._form("application/json")

    def _repr_javascript_(self) -> Any:
        return self._form("application/javascript")

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(self.plain() or repr(self))

    def display(self) -> None:
        """Show the value, in all its forms."""
        from .display import show_result

        show_result(self.metadata["execute_result"], self.metadata["engine_id"], True)
