"""``Client(debug=True)``: a line for each request, reply and question to the controller."""

from __future__ import annotations

from typing import Any


class Watched:
    """A connection whose requests and answers are printed."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def submit(self, msg_type: str, targets: Any, *args: Any, **options: Any) -> Any:
        """As the connection's."""
        task = self.connection.submit(msg_type, targets, *args, **options)
        where = "whoever is free" if options.get("balanced") else f"engines {list(task.targets)}"
        size = sum(memoryview(one).nbytes for one in options.get("buffers", ()))
        print(f"px: {task.msg_id}: {msg_type} to {where}, {size} bytes")
        task.add_done_callback(_answered)
        return task

    def control(self, msg_type: str, *args: Any, **options: Any) -> Any:
        """As the connection's."""
        answer = self.connection.control(msg_type, *args, **options)
        print(f"px: {msg_type} to the controller: {answer}")
        return answer


def _answered(task: Any) -> None:
    for index, engine in enumerate(task.targets or [None] * task.n):
        who = "" if engine is None else f" from engine {engine}"
        print(f"px: {task.msg_id}: {task.status(index)}{who}")
