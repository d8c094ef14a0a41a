"""One `pxcluster events --json` for all browsers.

The child starts with the first listener and ends with the last. Its standard input is a pipe
whose other end only this process holds: however the server dies, also by kill -9, the pipe
closes and the child ends by itself.

A browser that comes later needs the whole picture first. So the last state is kept here, as
the events told it: data laid over data, with no meaning given to any of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable
from typing import Any

from .program import Program, end, problem

Listener = Callable[[str], None]


class Picture:
    """The last state of every cluster, as a snapshot event would give it."""

    def __init__(self) -> None:
        self._host: dict[str, Any] = {}
        self._clusters: dict[str, dict[str, Any]] = {}

    def snapshot(self) -> dict[str, Any]:
        """An event that brings a newcomer up to date."""
        clusters = list(self._clusters.values())
        return {"type": "snapshot", "host": self._host, "clusters": clusters}

    def apply(self, event: dict[str, Any]) -> None:
        """Lay one event over the picture."""
        kind = event.get("type")
        if kind == "snapshot":
            self._host = event.get("host") or {}
            self._clusters = {c["id"]: c for c in event.get("clusters", [])}
        elif kind == "cluster":
            cluster = event["cluster"]
            self._clusters[cluster["id"]] = {
                **self._clusters.get(cluster["id"], {}),
                **cluster,
            }
        elif kind == "gone":
            self._clusters.pop(event["id"], None)
        elif kind in ("engine", "stats"):
            cluster = self._clusters.get(event["cluster"])
            if cluster is not None:
                changed = [event["engine"]] if kind == "engine" else event["engines"]
                overlay(cluster.setdefault("engines", []), changed)


def overlay(engines: list[dict[str, Any]], changed: list[dict[str, Any]]) -> None:
    """Update the engines that changed; append those that are new."""
    known = {engine["id"]: engine for engine in engines}
    for new in changed:
        old = known.get(new["id"])
        if old is None:
            engines.append(dict(new))
        else:
            old.update(new)


class EventFeed:
    """Shares one stream of events among any number of listeners."""

    def __init__(self, program: Program, log: logging.Logger) -> None:
        self._program = program
        self._log = log
        self._listeners: set[Listener] = set()
        self._task: asyncio.Task[None] | None = None
        self._picture: Picture | None = None
        self._trouble: str | None = None

    def add(self, listener: Listener) -> None:
        """Begin to listen: the listener is first told the whole state, then each change."""
        self._listeners.add(listener)
        if self._picture is not None:
            listener(json.dumps(self._picture.snapshot()))
        elif self._trouble is not None:
            listener(self._trouble)
        if self._task is None:
            self._task = asyncio.ensure_future(self._run())

    async def remove(self, listener: Listener) -> None:
        """Cease to listen. The last one to go ends the child."""
        self._listeners.discard(listener)
        if not self._listeners:
            await self.close()

    async def close(self) -> None:
        """End the child, if there is one, and wait for its end."""
        task, self._task = self._task, None
        self._picture = self._trouble = None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        """Read the child's lines while anybody listens; begin again should it die."""
        wait = 0.5
        while True:
            begun = asyncio.get_running_loop().time()
            told = await self._follow()
            lasted = asyncio.get_running_loop().time() - begun
            self._picture = None
            self._trouble = json.dumps({"type": "problem", **told})
            self._tell(self._trouble)
            self._log.warning("Cluster tab: %s", told["message"])
            # A child that had worked is replaced at once, one that fails is asked ever less.
            wait = 0.5 if lasted > 30 else min(wait * 2, 10.0)
            await asyncio.sleep(wait)

    async def _follow(self) -> dict[str, Any]:
        """One child, from its start to its end. Returns what to tell about the end."""
        child = await self._program.spawn("events", "--json", stdin=asyncio.subprocess.PIPE)
        if child is None:
            return self._program.missing()
        assert child.stdout and child.stderr
        said = asyncio.ensure_future(child.stderr.read())
        try:
            async for line in child.stdout:
                self._take(line)
            await child.wait()
            cause = (await said).decode(errors="replace").strip()[-2000:]
        finally:
            said.cancel()
            await end(child)
        return problem(
            "events-ended",
            f"pxcluster events ended with exit code {child.returncode}.",
            cause=cause,
            fix=["It is started again by itself.", "Run it in a terminal: pxcluster events --json"],
        )

    def _take(self, line: bytes) -> None:
        try:
            event = json.loads(line)
            if event["type"] == "snapshot":
                self._picture, self._trouble = Picture(), None
            if self._picture is not None:
                self._picture.apply(event)
        except (ValueError, KeyError, TypeError):
            self._log.warning("Cluster tab: not an event: %r", line[:200])
            return
        self._tell(line.decode().strip())

    def _tell(self, text: str) -> None:
        for listener in tuple(self._listeners):
            listener(text)
