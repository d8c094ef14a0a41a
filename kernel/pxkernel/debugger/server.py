"""Answers to debug_request, and debug_event.

Most requests go to debugpy as they are. The kernel's own: what cells are called (``debugInfo``,
``dumpCell``, ``source``), variables between stops, and the beginning: debugpy listens in this
process, which must be said from the main thread, and a front end's ``attach`` is answered only when
debugpy has taken its configuration.
"""

from __future__ import annotations

import ast
import os
import queue
import sys
import threading
from pathlib import Path
from typing import Any

from pxkernel import _kernel, compiler
from pxkernel.debugger.dap import Connection, ConnectionEnded, Message, hide_from_debugger
from pxkernel.debugger.variables import Explorer, is_shown
from pxkernel.jsonpack import dumps

# Threads of the kernel itself: they do not stop.
_OWN_THREADS = ("IPythonHistorySavingThread", "px-side", "px-dap", "px-dap-stopped")
_PSEUDO_ROWS = ("special variables", "function variables")


class Debugger:
    """The debugger of one kernel. Its methods run on the side thread."""

    def __init__(self, kernel: Any) -> None:
        self.kernel = kernel
        self.shell = kernel.shell
        self.started = False
        self.just_my_code = True
        self._address: tuple[str, int] | None = None
        self._connection: Connection | None = None
        self._breakpoints: dict[str, list[Message]] = {}
        self._stopped: set[int] = set()
        self._attaching = False
        self._initialized = threading.Event()
        self._stops: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._explorer = Explorer(self.shell.user_ns)
        self._usual_hook = self._stopping_hook = sys.breakpointhook
        self._transforms: list[tuple[int, Any]] = []

    # --- requests -------------------------------------------------------------------------------
    def handle(self, message: Message) -> Message:
        """The content of debug_reply."""
        command = message.get("command", "")
        if command == "initialize" and not self.started:
            try:
                self._start()
            except Exception as error:
                self.kernel.log.exception("the debugger cannot start")
                return self._answer(message, success=False, message=f"cannot start: {error}")
        always = getattr(self, f"_always_{command}", None)
        if always is not None:
            return always(message)
        if not self.started:
            return {}
        own = getattr(self, f"_on_{command}", self._forward)
        try:
            return own(message)
        except (ConnectionEnded, TimeoutError, OSError) as error:
            return self._answer(message, success=False, message=str(error))
        finally:
            if command == "disconnect":
                self._stop()

    @staticmethod
    def _answer(request: Message, success: bool = True, **more: Any) -> Message:
        return {
            "type": "response",
            "seq": request.get("seq", 0),
            "request_seq": request.get("seq", 0),
            "success": success,
            "command": request.get("command", ""),
            **more,
        }

    def _forward(self, message: Message) -> Message:
        assert self._connection is not None
        return self._connection.ask(message)

    # --- start and stop -------------------------------------------------------------------------
    def _start(self) -> None:
        Path(compiler.get_tmp_directory()).mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._address is None:
            self._address = self._in_main_thread(self._listen)
        sys.breakpointhook = self._stopping_hook
        self._keep_leading_lines()
        self._initialized.clear()
        self._attaching = True
        self._connection = Connection(self._address, self._event)
        watcher = threading.Thread(target=self._announce_stops, name="px-dap-stopped", daemon=True)
        hide_from_debugger(watcher)
        watcher.start()
        self.started = True

    def _listen(self) -> tuple[str, int]:
        """Make debugpy listen in this process; where. In the main thread, which it then can stop.

        debugpy's ``breakpoint()`` does nothing while no front end debugs: then the usual one stays.
        """
        self._usual_hook = sys.breakpointhook
        # Python's own modules are frozen here; that warning would land in the user's cell.
        os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
        import debugpy

        address = debugpy.listen(("127.0.0.1", 0))
        self._stopping_hook = sys.breakpointhook
        return address

    def _in_main_thread(self, function: Any) -> Any:
        """Run ``function`` in the main thread's loop: behind the cell that runs there, if any."""
        if threading.current_thread() is threading.main_thread():
            return function()  # a request that came before there was a side thread
        box: list[Any] = []
        done = threading.Event()

        def call() -> None:
            try:
                box.append((function(), None))
            except BaseException as error:
                box.append((None, error))
            done.set()

        self.kernel.loop.call_soon_threadsafe(call)
        done.wait()
        value, error = box[0]
        if error is not None:
            raise error
        return value

    def _keep_leading_lines(self) -> None:
        """Cells keep their leading empty lines while debugging: line numbers must fit."""
        transforms = self.shell.input_transformer_manager.cleanup_transforms
        for at, transform in reversed(list(enumerate(transforms))):
            if getattr(transform, "__name__", "") == "leading_empty_lines":
                self._transforms.append((at, transforms.pop(at)))

    def _stop(self) -> None:
        self.started = False
        if sys.breakpointhook is self._stopping_hook:
            sys.breakpointhook = self._usual_hook
        self._breakpoints = {}
        self._stopped = set()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        self._stops.put(None)
        transforms = self.shell.input_transformer_manager.cleanup_transforms
        while self._transforms:
            transforms.insert(*self._transforms.pop())

    # --- events ---------------------------------------------------------------------------------
    def _publish(self, event: Message) -> None:
        _kernel.publish("debug_event", dumps(event))

    def _event(self, event: Message) -> None:
        """One event of debugpy's; on the reader's thread."""
        body = event.get("body") or {}
        name = event.get("event")
        if name == "initialized":
            self._initialized.set()
        elif name == "stopped":
            if body.get("allThreadsStopped"):
                self._stops.put(event)  # told when the threads' names are known
                return
            self._stopped.add(body.get("threadId", 0))
        elif name == "continued":
            if body.get("allThreadsContinued", True):
                self._stopped = set()
            else:
                self._stopped.discard(body.get("threadId", 0))
        self._publish(event)

    def _announce_stops(self) -> None:
        """A thread of its own: asks which threads stopped, then tells that they did."""
        while (event := self._stops.get()) is not None:
            connection = self._connection
            if connection is None:
                return
            request = {"seq": connection.number(), "type": "request", "command": "threads"}
            try:
                threads = connection.ask(request).get("body", {}).get("threads", [])
            except (ConnectionEnded, TimeoutError, OSError):
                return
            stopped = {one["id"] for one in threads if one["name"] not in _OWN_THREADS}
            self._stopped |= stopped
            self._publish(event)

    # --- answered at any time -------------------------------------------------------------------
    def _always_debugInfo(self, message: Message) -> Message:
        breakpoints = [
            {"source": source, "breakpoints": lines} for source, lines in self._breakpoints.items()
        ]
        body = {
            "isStarted": self.started,
            "hashMethod": "Murmur2",
            "hashSeed": compiler.HASH_SEED,
            "tmpFilePrefix": compiler.get_tmp_directory() + "/",
            "tmpFileSuffix": ".py",
            "breakpoints": breakpoints,
            "stoppedThreads": sorted(self._stopped),
            "richRendering": True,
            "exceptionPaths": ["Python Exceptions"],
            "copyToGlobals": True,
        }
        return self._answer(message, body=body)

    def _always_inspectVariables(self, message: Message) -> Message:
        self._explorer = Explorer(self.shell.user_ns)
        return self._answer(message, body={"variables": self._explorer.roots()})

    def _always_richInspectVariables(self, message: Message) -> Message:
        arguments = message.get("arguments") or {}
        name = arguments.get("variableName", "")
        empty: Message = {"data": {}, "metadata": {}}
        if not name.isidentifier():
            return self._answer(message, success=name in _PSEUDO_ROWS, body=empty)
        if not self._stopped:
            shown = self.shell.user_expressions({name: name})[name]
            if shown.get("status") != "ok":
                return self._answer(message, success=False, body=empty)
            body = {"data": shown["data"], "metadata": shown["metadata"]}
            return self._answer(message, body=body)
        return self._rich_when_stopped(message, name, arguments.get("frameId"))

    def _rich_when_stopped(self, message: Message, name: str, frame: Any) -> Message:
        assert self._connection is not None
        expression = f"get_ipython().display_formatter.format({name})"
        request = {
            "seq": self._connection.number(),
            "type": "request",
            "command": "evaluate",
            "arguments": {"expression": expression, "frameId": frame, "context": "clipboard"},
        }
        answer = self._connection.ask(request)
        if not answer.get("success"):
            return self._answer(message, success=False, message=answer.get("message", ""))
        try:
            data, metadata = ast.literal_eval(answer["body"]["result"])
        except (ValueError, SyntaxError):
            return self._answer(message, success=False, body={"data": {}, "metadata": {}})
        kept = {mime: value for mime, value in metadata.items() if mime in data}
        return self._answer(message, body={"data": data, "metadata": kept})

    def _always_modules(self, message: Message) -> Message:
        arguments = message.get("arguments") or {}
        modules = list(sys.modules.values())
        first = arguments.get("startModule", 0)
        last = first + arguments.get("moduleCount", len(modules))
        found = []
        for number, module in enumerate(modules[first:last], first):
            origin = getattr(getattr(module, "__spec__", None), "origin", None)
            if origin and origin.endswith(".py"):
                found.append({"id": number, "name": module.__name__, "path": origin})
        return {"body": {"modules": found, "totalModules": len(modules)}}

    def _always_copyToGlobals(self, message: Message) -> Message:
        arguments = message.get("arguments") or {}
        source, target = arguments.get("srcVariableName", ""), arguments.get("dstVariableName", "")
        if not (self.started and source.isidentifier() and target.isidentifier()):
            return self._answer(message, success=False, message="both must be names of variables")
        request = {
            "seq": self._connection.number(),
            "type": "request",
            "command": "setExpression",
            "arguments": {
                "expression": f"globals()[{target!r}]",
                "value": source,
                "frameId": arguments.get("srcFrameId"),
            },
        }
        try:
            answer = self._connection.ask(request)
        except (ConnectionEnded, TimeoutError, OSError) as error:
            return self._answer(message, success=False, message=str(error))
        return {**answer, "request_seq": message.get("seq", 0), "command": "copyToGlobals"}

    # --- answered while started -----------------------------------------------------------------
    def _on_dumpCell(self, message: Message) -> Message:
        code = message["arguments"]["code"]
        path = Path(compiler.get_file_name(code))
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_text(code, encoding="utf-8")
        return self._answer(message, body={"sourcePath": str(path)})

    def _on_setBreakpoints(self, message: Message) -> Message:
        source = message["arguments"]["source"]["path"]
        self._breakpoints[source] = message["arguments"].get("breakpoints", [])
        answer = self._forward(message)
        if answer.get("success"):
            lines = [
                {"line": one["line"]} for one in answer["body"]["breakpoints"] if "line" in one
            ]
            self._breakpoints[source] = lines
        return answer

    def _on_source(self, message: Message) -> Message:
        path = Path((message["arguments"].get("source") or {}).get("path", ""))
        try:
            return self._answer(message, body={"content": path.read_text(encoding="utf-8")})
        except (OSError, UnicodeDecodeError):
            return self._answer(message, success=False, message="source unavailable", body={})

    def _on_stackTrace(self, message: Message) -> Message:
        """Frames below the cell are the kernel's: left out."""
        answer = self._forward(message)
        frames = (answer.get("body") or {}).get("stackFrames", [])
        cells = compiler.get_tmp_directory()
        own = [
            at
            for at, frame in enumerate(frames)
            if (frame.get("source") or {}).get("path", "").startswith(cells)
        ]
        if own:
            answer["body"]["stackFrames"] = frames[: own[-1] + 1]
        return answer

    def _on_variables(self, message: Message) -> Message:
        reference = message["arguments"]["variablesReference"]
        if not self._stopped:
            return self._answer(message, body={"variables": self._explorer.children(reference)})
        answer = self._forward(message)
        rows = (answer.get("body") or {}).get("variables")
        if rows is not None:
            answer["body"]["variables"] = [row for row in rows if is_shown(row["name"])]
        return answer

    def _on_attach(self, message: Message) -> Message:
        assert self._connection is not None and self._address is not None
        host, port = self._address
        arguments = message.setdefault("arguments", {})
        arguments["connect"] = {"host": host, "port": port}
        if not self.just_my_code:
            arguments["debugOptions"] = ["DebugStdLib"]
        arguments["rules"] = [{"path": path, "include": False} for path in self._own_files()]
        slot = self._connection.begin(message)
        if not self._attaching:
            return self._connection.finish(slot)
        self._attaching = False
        if not self._initialized.wait(30):
            return self._answer(message, success=False, message="debugpy did not initialize")
        done = {"seq": self._connection.number(), "type": "request", "command": "configurationDone"}
        self._connection.ask(done)
        return self._connection.finish(slot)

    def _on_configurationDone(self, message: Message) -> Message:
        return self._answer(message)

    def _own_files(self) -> list[str]:
        """Files of modules that were loaded when the kernel started: stepping stays out of them."""
        names = getattr(self.shell, "_sys_modules_keys", ())
        files = (getattr(sys.modules.get(name), "__file__", None) for name in names)
        return sorted({file for file in files if file})
