"""Dask on our engines: what ``Client.become_dask`` runs there.

One engine hosts the scheduler, each engine a worker, in a thread with a loop of their own; the
engine's main thread stays ours, so ``%px`` goes on working beside Dask.
"""

from __future__ import annotations

from typing import Any

from ._remote import user_namespace

_running: dict[str, Any] = {}


def _start(name: str, make: Any) -> Any:
    """Start a scheduler or worker in the loop thread of distributed; returns it."""
    from distributed.utils import LoopRunner

    runner = _running.get("loop")
    if runner is None:
        runner = _running["loop"] = LoopRunner(asynchronous=False)
        runner.start()

    async def start() -> Any:
        return await make()

    server = _running[name] = runner.run_sync(start)
    user_namespace()[f"distributed_{name}"] = server
    return server


def start_scheduler(options: dict[str, Any]) -> str:
    """Start a scheduler in this engine, unless one runs; its address."""
    from distributed import Scheduler

    running = _running.get("scheduler")
    if running is not None:
        return str(running.address)
    chosen = {"host": "127.0.0.1", "port": 0, "dashboard": False, **options}
    return str(_start("scheduler", lambda: Scheduler(**chosen)).address)


def start_worker(address: str, name: str, options: dict[str, Any]) -> str:
    """Start a worker in this engine, unless one runs; its address."""
    from distributed import Worker

    running = _running.get("worker")
    if running is not None:
        return str(running.address)
    chosen = {"nthreads": 1, "name": name, "dashboard": False, **options}
    return str(_start("worker", lambda: Worker(address, **chosen)).address)


def stop() -> None:
    """End worker and scheduler of this engine."""
    runner = _running.pop("loop", None)
    if runner is None:
        return
    for name in ("worker", "scheduler"):
        server = _running.pop(name, None)
        if server is not None:
            user_namespace().pop(f"distributed_{name}", None)
            runner.run_sync(server.close)
    runner.stop()
