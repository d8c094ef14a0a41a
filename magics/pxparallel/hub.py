"""What the controller remembers of tasks, whoever submitted them: fetching, asking, forgetting.

The controller keeps records of requests and their results (docs/cluster.md). A result that is
fetched is, on the wire and in C, a task like our own: outputs come as they are made, large
arrays writable, and every wait ends. So ``AsyncHubResult`` is an AsyncResult of such tasks.
"""

from __future__ import annotations

import base64
import json
import weakref
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from . import error
from .asyncresult import AsyncResult, Slot, decode_apply, decode_execute

_DATES = ("submitted", "started", "completed", "received")
_BUFFERS = ("buffers", "result_buffers")


def decode_any(task: Any, index: int) -> Any:
    """What a fetched reply holds: the value of a call, or what executed code says."""
    if task.reply(index)["header"].get("msg_type") == "execute_reply":
        return decode_execute(task, index)
    return decode_apply(task, index)


class AsyncHubResult(AsyncResult):
    """The results of tasks that another client submitted, or an earlier one of ours."""

    owner = False

    def __init__(self, client: Any, slots: Sequence[Slot], **options: Any) -> None:
        options.setdefault("decode", decode_any)
        options.setdefault("name", "fetched")
        super().__init__(client, slots, **options)


def fetch(client: Any, msg_id: str) -> Slot:
    """The slot of a task by its message id; an unknown one is a KeyError in it."""
    content = json.dumps({"msg_id": msg_id}).encode()
    task = client._submit("result_request", [], content, balanced=True, fetch=msg_id)
    return task, 0


def ask(client: Any, msg_type: str, **content: Any) -> dict[str, Any]:
    """Ask the controller about records; what it has to object is raised as on an engine."""
    reply: dict[str, Any] = client._control(msg_type, content, timeout=60.0)
    wrong = reply.get("error")
    if wrong:
        raise error.remote_error(wrong["ename"], wrong["evalue"], "", {})
    return reply


# --- queries -------------------------------------------------------------------------------------


def _as_json(value: Any) -> Any:
    """A query's value as JSON knows it: dates as text, sets and tuples as lists."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, dict):
        return {str(key): _as_json(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_as_json(one) for one in value]
    return value


def _moment(text: Any) -> Any:
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00"))
    except (AttributeError, ValueError):
        return text


def _with_dates(part: Any) -> Any:
    """A header with its date as a datetime."""
    if isinstance(part, dict):
        return {
            key: _moment(value) if key in ("date", "started") else value
            for key, value in part.items()
        }
    return part


def _from_json(record: dict[str, Any]) -> dict[str, Any]:
    """A record as ipyparallel gives it: dates as datetimes, buffers as bytes."""
    for key, value in record.items():
        if key in _DATES:
            record[key] = _moment(value)
        elif key in _BUFFERS:
            record[key] = [base64.b64decode(one) for one in value]
        elif key in ("header", "result_header", "metadata", "result_metadata"):
            record[key] = _with_dates(value)
    return record


def query(client: Any, wanted: dict[str, Any], keys: Any = None) -> list[dict[str, Any]]:
    """Records that fit a query, by submission; all members but buffers, or those that are named."""
    if not isinstance(wanted, dict):
        raise TypeError(f"a query is a dict, not {type(wanted).__name__}")
    if isinstance(keys, str):
        keys = [keys]
    reply = ask(
        client,
        "db_request",
        query=_as_json(wanted),
        keys=None if keys is None else [str(key) for key in keys],
    )
    return [_from_json(record) for record in reply["records"]]


def queues(client: Any, ids: list[int], single: bool) -> dict[Any, Any]:
    """As ``queue_status``, with message ids in place of numbers."""
    status: dict[Any, Any] = {engine: {"queue": [], "completed": [], "tasks": []} for engine in ids}
    unassigned = []
    for record in query(client, {}, ["engine_id", "received", "queue"]):
        engine, msg = record["engine_id"], record["msg_id"]
        if engine in status:
            kind = "tasks" if record["queue"] == "task" else "queue"
            status[engine]["completed" if record["received"] else kind].append(msg)
        elif engine is None and not record["received"]:
            unassigned.append(msg)
    if single:
        return status[ids[0]]
    status["unassigned"] = unassigned
    return status


# --- which tasks ---------------------------------------------------------------------------------


def ids_of(client: Any, jobs: Any) -> list[str]:
    """Message ids of what a person names as jobs: ids, indexes of the history, AsyncResults."""
    if isinstance(jobs, AsyncResult):
        return jobs.msg_ids
    if isinstance(jobs, str):
        return [jobs]
    if isinstance(jobs, int):
        return [client.history[jobs]]
    if isinstance(jobs, Iterable):
        return [one for job in jobs for one in ids_of(client, job)]
    raise TypeError(f"jobs are AsyncResults, ids or indexes, not {type(jobs).__name__}")


def slots_of(client: Any, msg_ids: Sequence[str]) -> tuple[list[Slot], bool]:
    """A slot for each id, of a result that is here or fetched; whether any was fetched."""
    here = {
        msg: result._slots[position]
        for result in client._results.living()
        for position, msg in enumerate(result.msg_ids)
    }
    slots = [here[msg] if msg in here else fetch(client, msg) for msg in msg_ids]
    return slots, any(msg not in here for msg in msg_ids)


def resubmit(client: Any, msg_ids: Sequence[str]) -> list[Slot]:
    """Run requests once more, on whichever engines; the slots of the new tasks."""
    keys = ["header", "content", "metadata", "buffers"]
    found = {
        record["msg_id"]: record
        for record in query(client, {"msg_id": {"$in": list(msg_ids)}}, keys)
    }
    missing = [msg for msg in msg_ids if msg not in found]
    if missing:
        raise error.remote_error("KeyError", f"No such msg(s): {missing}", "", {})
    slots = []
    for msg in msg_ids:
        record = found[msg]
        msg_type = record["header"]["msg_type"]
        if msg_type == "apply_request" and not record["buffers"]:
            raise ValueError(
                f"task {msg} cannot be run again: its arguments were too large to be kept; submit "
                "the call once more"
            )
        task = client._submit(
            msg_type,
            [],
            json.dumps(record["content"]).encode(),
            metadata=json.dumps(record["metadata"]).encode(),
            buffers=record["buffers"],
            label=record["metadata"].get("label") or "",
            balanced=True,
        )
        slots.append((task, 0))
    again = {msg: task.msg_id for msg, (task, _) in zip(msg_ids, slots, strict=True)}
    ask(client, "resubmitted_request", resubmitted=again)
    return slots


# --- results that were pickled -------------------------------------------------------------------

_reopened: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()


def _client_of(cluster: str) -> Any:
    """A client of that cluster: the one that unpickled last, or a new one."""
    client = _reopened.get(cluster)
    if client is None or client.closed:
        from .client import Client

        client = Client(cluster)
        _reopened[cluster] = client
    return client


def reopen(cluster: str, kind: type, msg_ids: list[str], state: dict[str, Any]) -> Any:
    """An AsyncResult out of a pickle: its tasks are fetched from the cluster of that name."""
    client = _client_of(cluster)
    result = kind.__new__(kind)
    AsyncResult.__init__(result, client, [fetch(client, msg) for msg in msg_ids])
    result.__dict__.update(state)
    result._decode = decode_any
    result.owner = False
    return result
