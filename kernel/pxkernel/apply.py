"""apply_request: call a pickled function, answer with its pickled result.

``buffers[0]`` is the pickle of ``(function, args, kwargs)``, the others are its out-of-band
buffers; the reply has the same form. How things get into the pickle is the client's affair: the
modules that it names are imported by unpickling, so nothing of the client is known here but the
name of the module that pickles what is more than plain data. Only requests of stock ipyparallel
clients (no "px" in their metadata) are in ipyparallel's own form: stock.py.

What the function prints belongs to the request, as a cell's output does. An error is answered
with IPython's rendering of it, without the frames of this file, and with the pickled exception.
"""

from __future__ import annotations

import asyncio
import copyreg
import importlib
import os
import pickle
import sys
from types import CoroutineType, TracebackType
from typing import Any

from pxkernel import _kernel
from pxkernel.jsonpack import dumps

CODEC = "pxparallel.serialize"
"""Pickles results and exceptions that are more than plain data; imported when needed."""

NUMBERED = ("define", "attribute", "load_module", "mapper", "open_request")
"""Functions of ``pxparallel._remote`` that requests name by number, from 0xF0 on."""
for _number, _name in enumerate(NUMBERED, start=0xF0):
    copyreg.add_extension("pxparallel._remote", _name, _number)

_PLAIN = frozenset({type(None), bool, int, float, complex, str, bytes})
_OK = b'{"status": "ok"}'
_OURS = (
    os.path.join("pxkernel", "apply.py"),
    os.path.join("pxparallel", "_remote.py"),
    os.path.join("pxparallel", "_seeds.py"),
)


def handle(request: Any, shell: Any) -> asyncio.Task[None] | None:
    """Serve one apply_request. None when it is done, else the task that awaits the result."""
    try:
        buffers = request.buffers
        if len(buffers) == 1:
            function, args, kwargs = pickle.loads(buffers[0])
        elif buffers:
            if "px" not in request.metadata:
                from pxkernel import stock

                function, args, kwargs = stock.load(buffers, shell.user_ns)
                request.reply(_OK, buffers=stock.dump(function(*args, **kwargs)))
                return None
            function, args, kwargs = pickle.loads(
                buffers[0], buffers=[_writable(buffer) for buffer in buffers[1:]]
            )
        else:
            raise ValueError("an apply_request needs its function in a buffer")
        result = function(*args, **kwargs)
        if type(result) is CoroutineType:
            return _begin(request, shell, result)
        _answer(request, result)
    except BaseException as error:
        _fail(request, shell, error)
    return None


def install(shell: Any) -> None:
    """Have C serve the usual request (one pickle, plain data as its result) without coming here."""
    _kernel.set_apply(
        _answer,
        lambda request, coroutine: _begin(request, shell, coroutine),
        lambda request, error: _fail(request, shell, error),
    )


def _begin(request: Any, shell: Any, coroutine: CoroutineType[Any, Any, Any]) -> asyncio.Task[None]:
    task: asyncio.Task[None] = shell.kernel.create_task(_finish(request, shell, coroutine))
    _kernel.interrupt_async(task.cancel)
    return task


async def _finish(request: Any, shell: Any, result: Any) -> None:
    """Await the result of an ``async def``, then answer."""
    try:
        try:
            value = await result
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None
        finally:
            _kernel.interrupt_async(None)
        _answer(request, value)
    except BaseException as error:
        _fail(request, shell, error)


def _answer(request: Any, result: Any) -> None:
    if type(result) in _PLAIN:
        request.reply(_OK, buffers=(pickle.dumps(result, 5),))
    else:
        request.reply(_OK, buffers=importlib.import_module(CODEC).dump_result(result))


def _writable(buffer: Any) -> Any:
    """The buffer, or a copy that can be written to: arrays made over it shall be the user's own."""
    return bytearray(buffer) if memoryview(buffer).readonly else buffer


# --- errors -----------------------------------------------------------------------------------


def _fail(request: Any, shell: Any, error: BaseException) -> None:
    trace = _users_part(error.__traceback__)
    sys.last_type, sys.last_value, sys.last_traceback = type(error), error, trace
    try:
        text = str(error)
    except Exception as wrong:
        text = f"<str() of the exception failed: {type(wrong).__name__}>"
    content = {
        "status": "error",
        "ename": type(error).__name__,
        "evalue": text,
        "traceback": _rendered(shell, error, trace),
        "engine_info": {
            "engine_uuid": _kernel.ident,
            "engine_id": _kernel.engine_id,
            "method": "apply",
        },
    }
    pickled = _pickled(error)
    request.reply(dumps(content), buffers=() if pickled is None else (pickled,))


def _users_part(trace: TracebackType | None) -> TracebackType | None:
    """The traceback from the user's function on; all of it if it never got there."""
    found = trace
    while found is not None and found.tb_frame.f_code.co_filename.endswith(_OURS):
        found = found.tb_next
    return found


def _rendered(shell: Any, error: BaseException, trace: TracebackType | None) -> list[str]:
    """As the shell shows errors of cells; plainly if that fails."""
    if trace is None:
        return [f"{type(error).__name__}: {error}"]  # it never got to the user's code
    try:
        renderer = getattr(error, "_render_traceback_", None)
        lines = (
            renderer()
            if renderer is not None
            else shell.InteractiveTB.structured_traceback(type(error), error, trace, tb_offset=0)
        )
        return [str(line) for line in lines]
    except Exception:
        import traceback

        return "".join(traceback.format_exception(type(error), error, trace)).splitlines()


def _pickled(error: BaseException) -> bytes | None:
    """The exception for the client, which raises one of the same type; None if it cannot go."""
    try:
        return importlib.import_module(CODEC).dump_error(error)
    except ImportError:
        return None
