"""Engines' outputs, shown here: after the fact, or as they come where C cannot do it.

In a pxkernel notebook live output goes from the client's C thread straight into the notebook
(``Task.shown()``). In other kernels, terminals and scripts this module does the same in Python,
in the same form: ``[stdout:0] text``, the prefix again only when another engine or stream speaks.
"""

from __future__ import annotations

import contextvars
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from . import error

RED, PLAIN = "\x1b[0;31m", "\x1b[0m"
RICH = ("display_data", "update_display_data", "execute_result")


def in_notebook() -> bool:
    """True where rich output can be published: in a kernel, not in terminals and scripts."""
    shell = _shell()
    return shell is not None and type(shell).__name__ not in (
        "TerminalInteractiveShell",
        "InteractiveShell",
    )


def _shell() -> Any:
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None else None


def _publish(data: dict[str, Any], metadata: dict[str, Any], update: str | None = None) -> None:
    from IPython.display import publish_display_data

    if update is None:
        publish_display_data(data=data, metadata=metadata)
    else:
        publish_display_data(
            data=data, metadata=metadata, transient={"display_id": update}, update=True
        )


class Speaker:
    """Writes texts of several engines; says who speaks when that changes."""

    def __init__(self, prefix: bool = True, after: str = " ") -> None:
        self.prefix = prefix
        self.after = after
        self._who: tuple[str, int] | None = None
        self._midline = False

    def say(self, stream: str, engine: int, text: str) -> None:
        """Write text of an engine's stdout or stderr to ours."""
        if not text:
            return
        file = sys.stderr if stream == "stderr" else sys.stdout
        if self.prefix and self._who != (stream, engine):
            self.pause()
            self._who = (stream, engine)
            file.write(f"[{stream}:{engine}]{self.after}{text}")
        else:
            file.write(text)
        self._midline = not text.endswith("\n")

    def pause(self) -> None:
        """Something else is shown: end the line that is open, name the speaker again."""
        if self._who is not None and self._midline and self.prefix:
            (sys.stderr if self._who[0] == "stderr" else sys.stdout).write("\n")
        self._who = None
        self._midline = False


def show_result(content: dict[str, Any] | None, engine: int, prefix: bool) -> None:
    """The value of a cell: ``Out[engine:count]: text``, with its other forms in a notebook."""
    if not content:
        return
    data = dict(content["data"])
    text = data.get("text/plain", "")
    count = content.get("execution_count")
    prompt = f"Out[{engine}:{count}]: " if prefix else f"Out[{count}]: "
    gap = "\n" if "\n" in text else ""
    if in_notebook():
        data["text/plain"] = f"{RED}{prompt}{PLAIN}{gap}{text}"
        _publish(data, {**content.get("metadata", {}), "engine": engine})
    else:
        print(_coloured(prompt) + gap + text)


def _coloured(prompt: str) -> str:
    shell = _shell()
    plain = shell is None or str(getattr(shell, "colors", "")).lower() in ("", "nocolor")
    return prompt if plain or not sys.stdout.isatty() else f"{RED}{prompt}{PLAIN}"


def show_rich(message: dict[str, Any], engine: int, head: bool) -> None:
    """A display_data of an engine; with ``head``, a line ``[output:k]`` before it."""
    if message["msg_type"] == "execute_result":
        show_result(message["content"], engine, head)
        return
    content = message["content"]
    if in_notebook():
        if head:
            _publish({"text/plain": f"[output:{engine}]"}, {})
        _publish(content["data"], {**content.get("metadata", {}), "engine": engine})
        return
    if head:
        print(f"[output:{engine}]")
    print(content["data"].get("text/plain", ""))


class Stream:
    """Shows messages of engines as they come."""

    def __init__(self, prefix: bool) -> None:
        self.prefix = prefix
        self.speaker = Speaker(prefix)

    def show(self, engine: int, message: dict[str, Any]) -> None:
        """Show one output."""
        kind = message["msg_type"]
        content = message["content"]
        if kind == "stream":
            self.speaker.say(content["name"], engine, content["text"])
        elif kind in RICH:
            self.speaker.pause()
            notebook = in_notebook()
            show_rich(message, engine, self.prefix and (not notebook or kind == "execute_result"))
        elif kind == "clear_output" and in_notebook():
            from IPython.display import clear_output

            clear_output(wait=content.get("wait", False))


# --- after the fact ----------------------------------------------------------------------------


def _outputs(result: Any) -> list[tuple[int, list[dict[str, Any]]]]:
    """Engine and its outputs, for each answer."""
    return [(task.engine(index), task.outputs(index)) for task, index in result._slots]


def show_outputs(result: Any, groupby: str, result_only: bool) -> None:
    """What ``display_outputs`` does. Streams first, then rich output, values last."""
    outputs = _outputs(result)
    prefix = not result._single
    if result_only:
        _show_values(outputs, prefix)
    elif groupby == "engine":
        for one in outputs:
            _show_streams([one], "stdout", prefix)
            _show_streams([one], "stderr", prefix)
            for number, message in enumerate(_rich(one[1])):
                show_rich(message, one[0], prefix and number == 0)
            _show_values([one], prefix)
    else:
        _show_streams(outputs, "stdout", prefix)
        _show_streams(outputs, "stderr", prefix)
        if groupby == "order":
            _show_in_order(outputs, prefix)
        else:
            for engine, messages in outputs:
                for number, message in enumerate(_rich(messages)):
                    show_rich(message, engine, prefix and number == 0)
        _show_values(outputs, prefix)


def _rich(messages: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    return (m for m in messages if m["msg_type"] in ("display_data", "update_display_data"))


def _show_in_order(outputs: Sequence[tuple[int, list[dict[str, Any]]]], prefix: bool) -> None:
    rich = [(engine, list(_rich(messages))) for engine, messages in outputs]
    for number in range(max((len(messages) for _, messages in rich), default=0)):
        for engine, messages in rich:
            if number < len(messages):
                show_rich(messages[number], engine, prefix)


def _show_streams(
    outputs: Iterable[tuple[int, list[dict[str, Any]]]], name: str, prefix: bool
) -> None:
    speaker = Speaker(prefix, after=" \n")
    for engine, messages in outputs:
        for message in messages:
            if message["msg_type"] == "stream" and message["content"]["name"] == name:
                speaker.say(name, engine, message["content"]["text"])
    speaker.pause()


def _show_values(outputs: Iterable[tuple[int, list[dict[str, Any]]]], prefix: bool) -> None:
    for engine, messages in outputs:
        for message in messages:
            if message["msg_type"] == "execute_result":
                show_result(message["content"], engine, prefix)


# --- errors ------------------------------------------------------------------------------------


class ErrorPrinter:
    """Shows errors of engines on stderr, equal ones once, the first four kinds in full."""

    def __init__(self, result: Any) -> None:
        self._result = result
        self._shown: set[int] = set()
        self._full: dict[tuple[str, ...], str] = {}

    def show_new(self) -> None:
        """Show the errors that came since the last call."""
        groups: dict[tuple[str, ...], list[BaseException]] = {}
        for position, (task, index) in enumerate(self._result._slots):
            if position in self._shown or task.status(index) not in ("error", "aborted"):
                continue
            self._shown.add(position)
            failed = self._result._load(position)
            ename, evalue, traceback, _ = error._as_item(failed)
            same = (ename, evalue, error.plain_traceback(traceback))
            groups.setdefault(same, []).append(failed)
        for same, errors in groups.items():
            self._show(same, errors)

    def _show(self, same: tuple[str, ...], errors: list[BaseException]) -> None:
        items = [error._as_item(one) for one in errors]
        ename, evalue, traceback, _ = items[0]
        label = error._label([item[3] for item in items])

        file = sys.stderr
        if same in self._full:
            print(f"{label} {ename}: {evalue} (as {self._full[same]})", file=file)
        elif len(self._full) < error.CompositeError.tb_limit:
            self._full[same] = label
            text = traceback or f"{ename}: {evalue}"
            if not in_notebook() and not file.isatty():
                text = error.without_colours(text)
            print(f"{label}\n{text}", file=file)
        else:
            print(f"{label} {ename}: {evalue}", file=file)


class Follower:
    """Shows the outputs of a result from a thread of its own, until stopped."""

    def __init__(self, result: Any) -> None:
        self._result = result
        self._stream = Stream(prefix=not result._single)
        self._shown: list[list[int]] = [[] for _ in result._slots]
        self._stop = threading.Event()
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._run,), daemon=True)

    def start(self) -> None:
        """Show what there is, and from now on what comes."""
        self._thread.start()

    def stop(self) -> None:
        """Show the rest and end."""
        self._stop.set()
        self._thread.join()
        self._step()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._step()
            self._stop.wait(0.05)

    def _step(self) -> None:
        for position, (task, index) in enumerate(self._result._slots):
            shown = self._shown[position]
            engine = task.engine(index)
            for number, message in enumerate(task.outputs(index)):
                text = message["content"].get("text", "")
                if number >= len(shown):
                    shown.append(0)
                elif len(text) <= shown[number]:
                    continue
                if message["msg_type"] == "stream":
                    content = {**message["content"], "text": text[shown[number] :]}
                    message = {**message, "content": content}
                shown[number] = len(text)
                self._stream.show(engine, message)
