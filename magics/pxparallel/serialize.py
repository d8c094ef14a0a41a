"""The sending half of serialisation: what a task needs travels with it, big data out of band.

``pickle`` protocol 5 with three additions:

* Functions and classes of the notebook (or script) travel by value, as a *definition*: a pickle
  under the hash of its content, which the other side unpickles once. Nothing of the notebook's
  globals is in it.
* The global names that such code uses are collected while pickling, looked up in the notebook, and
  sent along, transitively, each under the hash of its content. The other side puts them into a
  layer below its own names (see ``_remote``): the engine's names win.
* Modules that lie beside the notebook travel as source (see ``sources``).

Buffers of 16 KiB and more (arrays) are handed over as they are; smaller ones are copied.
"""

from __future__ import annotations

import builtins
import dis
import functools
import hashlib
import io
import itertools
import linecache
import marshal
import operator
import os
import pickle
import sys
import types
import uuid
import weakref
from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator
from dataclasses import _HAS_DEFAULT_FACTORY, MISSING  # type: ignore[attr-defined]
from typing import Any, NamedTuple

import cloudpickle.cloudpickle as cp

from . import _remote as remote
from . import culprits, sources

INLINE = 16 * 1024
"""Buffers below this many bytes are copied into the pickle."""

_VERSION = sys.hexversion >> 16
_SIMPLE = frozenset({int, float, complex, bool, str, bytes, type(None), type(...), range, slice})
_PLAIN = frozenset({int, float, bool, type(None), str})
_NOT_SHIPPED = frozenset({"get_ipython", "exit", "quit", "open", "display", "In", "Out", "input"})
_unique = itertools.count()
_session = ""

Need = tuple[str, str, str]
"""A global name that code uses: session, module, name."""


def session() -> str:
    """What tells this process' layer of names from those of others."""
    global _session
    if not _session:
        _session = uuid.uuid4().hex[:16]
    return _session


def _new_session() -> None:
    global _session
    _session = ""


os.register_at_fork(after_in_child=_new_session)


# --- what code needs --------------------------------------------------------------------------


class Names:
    """Global names in code: all, those of inner code, and every attribute name (for modules)."""

    __slots__ = ("all", "attributes", "inner")

    def __init__(self, code: types.CodeType) -> None:
        found: dict[str, None] = {}
        inner: dict[str, None] = {}
        attributes: set[str] = set()
        self._walk(code, found, inner, attributes, False)
        self.all = tuple(found)
        self.inner = tuple(name for name in inner if name not in builtins.__dict__)
        self.attributes = frozenset(attributes)

    def _walk(
        self,
        code: types.CodeType,
        found: dict[str, None],
        inner: dict[str, None],
        attributes: set[str],
        nested: bool,
    ) -> None:
        attributes.update(code.co_names)
        for step in dis.get_instructions(code):
            if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
                found[step.argval] = None
                if nested:
                    inner[step.argval] = None
        for part in code.co_consts:
            if isinstance(part, types.CodeType):
                self._walk(part, found, inner, attributes, True)


_names: weakref.WeakKeyDictionary[types.CodeType, Names] = weakref.WeakKeyDictionary()
_spaces: dict[str, dict[str, Any]] = {}
_attributes: dict[Need, frozenset[str]] = {}


def names_of(code: types.CodeType) -> Names:
    """The global names of code, computed once."""
    found = _names.get(code)
    if found is None:
        found = _names[code] = Names(code)
    return found


@functools.lru_cache(maxsize=256)
def _source_of(filename: str) -> tuple[str, str] | None:
    """File name and text of a cell, for tracebacks elsewhere; None for real files."""
    if os.path.exists(filename):
        return None
    text = "".join(linecache.getlines(filename))
    return (filename, text) if 0 < len(text) < 1 << 18 else None


# --- definitions ------------------------------------------------------------------------------


class Definition:
    """The pickle of a function or class, under the hash of its content."""

    __slots__ = ("blob", "key", "needs", "stamp", "thing")

    def __init__(self, thing: Any, stamp: Any, blob: bytes, needs: tuple[Need, ...]) -> None:
        self.stamp = stamp
        self.blob = blob
        self.key = hashlib.blake2b(blob, digest_size=16).digest()
        self.needs = needs
        number = id(thing)
        self.thing = weakref.ref(thing, lambda _: _definitions.pop(number, None))


_definitions: dict[int, Definition] = {}


def _function_stamp(function: types.FunctionType) -> tuple[Any, ...] | None:
    """What a function consists of, if that can only change by exchange; else None."""
    if function.__dict__ or function.__kwdefaults__:
        return None
    defaults = function.__defaults__
    if defaults and not all(type(value) in _SIMPLE for value in defaults):
        return None
    contents: tuple[Any, ...] = ()
    if function.__closure__:
        try:
            contents = tuple(cell.cell_contents for cell in function.__closure__)
        except ValueError:
            return None
        if not all(type(value) in _SIMPLE for value in contents):
            return None
    return function.__code__, defaults, function.__name__, function.__doc__, *contents


def _class_stamp(cls: type) -> tuple[Any, ...] | None:
    """What a class consists of, if that can only change by exchange; else None."""
    parts: list[Any] = list(cls.__bases__)
    for base in cls.__mro__:
        if not _by_value(base):
            continue
        for name, value in vars(base).items():
            kind = type(value)
            if kind is types.FunctionType:
                parts.extend(_function_stamp(value) or ())
            elif kind in (list, dict, set, bytearray) and not name.startswith("_"):
                return None
            parts.append(value)
    return tuple(parts)


def _definition(thing: Any) -> Definition | None:
    """The definition of a function or class; None if it carries big data of its own."""
    number = id(thing)
    stamp = _function_stamp(thing) if type(thing) is types.FunctionType else _class_stamp(thing)
    known = _definitions.get(number)
    if (
        known is not None
        and stamp is not None
        and known.thing() is thing
        and len(known.stamp) == len(stamp)
        and all(map(operator.is_, known.stamp, stamp))
    ):
        return known
    needs: dict[Need, None] = {}
    big: list[Any] = []
    blob = _dump(thing, needs, big, inline=True)
    if big:
        return None
    made = Definition(thing, stamp, blob, tuple(needs))
    if stamp is not None:
        _definitions[number] = made
    remote.own(thing, made.key)
    return made


def _by_value(thing: Any) -> bool:
    """True for functions and classes that the other side cannot import."""
    name = getattr(thing, "__module__", None)
    if name in ("__main__", "__mp_main__"):
        return True
    if not cp._should_pickle_by_reference(thing):
        return True
    found = cp._lookup_module_and_qualname(thing)
    return found is None or not sources.is_importable(found[0])


def _reduce_reference(thing: Any) -> Any:
    """An importable function or class: by name, after its local module's source."""
    home = sources.home_of(thing)
    return NotImplemented if home is None else (remote.attribute, home)


class Writer(pickle.Pickler):
    """Pickles data, collecting names that code needs; ``inline`` while inside a definition."""

    def __init__(
        self,
        file: io.BytesIO,
        needs: dict[Need, None],
        callback: Callable[[Any], Any],
        inline: bool,
    ) -> None:
        super().__init__(file, 5, buffer_callback=callback)
        self.needs = needs
        self.inline = inline

    def reducer_override(self, thing: Any) -> Any:
        kind = type(thing)
        if kind is types.FunctionType:
            if thing.__module__ == "pxparallel._remote":
                return NotImplemented
            return self._function(thing) if _by_value(thing) else _reduce_reference(thing)
        if kind is types.ModuleType:
            return sources.reduce_module(thing)
        if kind is type or issubclass(kind, type):
            return self._class(thing)
        asks = kind is types.MethodType and thing == builtins.input  # a kernel's, which asks here
        return (getattr, (builtins, "input")) if asks else NotImplemented

    def _origin(self, thing: Any) -> Any:
        """A thing that came from elsewhere goes on as it came."""
        came = remote.origin(thing)
        if came is None:
            return None
        self.needs.update(dict.fromkeys(came.needs))
        return remote.define, (came.key, came.blob, came.needs)

    def _defined(self, thing: Any) -> Any:
        """By key and blob, unless inside a definition, which holds all it needs itself."""
        if self.inline:
            return None
        known = self._origin(thing)
        if known is not None:
            return known
        made = _definition(thing)
        if made is None:
            return None
        if not made.needs:
            return remote.define, (made.key, made.blob)
        self.needs.update(dict.fromkeys(made.needs))
        return remote.define, (made.key, made.blob, made.needs)

    def _class(self, cls: type) -> Any:
        if cls in cp._BUILTIN_TYPE_NAMES or cls in _SINGLETON_TYPES:
            return cp._class_reduce(cls)
        if not _by_value(cls):
            return _reduce_reference(cls)
        known = self._defined(cls)
        if known is not None:
            return known
        remote.own_class(cls)
        steps = cp._dynamic_class_reduce(cls)
        return (*steps[:5], remote.fill_class)

    def _function(self, function: types.FunctionType) -> Any:
        known = self._defined(function)
        if known is not None:
            return known
        code = function.__code__
        names = names_of(code)
        home, shadow = self._home(function, names)
        if isinstance(home, str):
            for name in names.all:
                need = (session(), home, name)
                self.needs[need] = None
                if names.attributes - _attributes.get(need, frozenset()):
                    _attributes[need] = _attributes.get(need, frozenset()) | names.attributes
        cells = []
        for cell in function.__closure__ or ():
            try:
                cells.append((cell.cell_contents,))
            except ValueError:
                cells.append(())
        attributes = {
            "__name__": function.__name__,
            "__qualname__": function.__qualname__,
            "__module__": function.__module__,
            "__doc__": function.__doc__,
        }
        if function.__annotations__:
            attributes["__annotations__"] = function.__annotations__
        body = marshal.dumps(code, 2)
        return (
            remote.make_function,
            (session(), home, shadow, _VERSION, body, names.inner, _source_of(code.co_filename)),
            (
                tuple(cells),
                function.__defaults__,
                function.__kwdefaults__,
                function.__dict__,
                attributes,
            ),
            None,
            None,
            remote.fill_function,
        )

    def _home(self, function: types.FunctionType, names: Names) -> tuple[Any, bool]:
        """Where the function's globals are on the other side: a module, or a name of ours."""
        space = function.__globals__
        module = function.__module__
        if module in (None, "__main__", "__mp_main__") or space is remote.user_namespace():
            _spaces["__main__"] = space
            return "__main__", False
        found = sys.modules.get(module)
        if found is not None and found.__dict__ is space and sources.is_installed(found):
            return found, False
        _spaces[module] = space
        closed = all(name in space or name in builtins.__dict__ for name in names.all)
        return module, closed


_SINGLETON_TYPES = frozenset({type(None), type(...), type(NotImplemented)})


def _reduce_lru_cache(wrapper: Any) -> Any:
    """A cached function of the notebook: cached anew on the other side."""
    function = wrapper.__wrapped__
    if not _by_value(function):
        return wrapper.__qualname__
    limits = wrapper.cache_parameters()
    return _make_lru_cache, (function, limits["maxsize"], limits["typed"])


def _make_lru_cache(function: Any, maxsize: int | None, typed: bool) -> Any:
    return functools.lru_cache(maxsize, typed)(function)


def _dataclass_constant(name: str) -> Any:
    return {"MISSING": MISSING, "FACTORY": _HAS_DEFAULT_FACTORY}[name]


Writer.dispatch_table = ChainMap(  # type: ignore[assignment]
    {
        functools._lru_cache_wrapper: _reduce_lru_cache,
        type(MISSING): lambda _: (_dataclass_constant, ("MISSING",)),
        type(_HAS_DEFAULT_FACTORY): lambda _: (_dataclass_constant, ("FACTORY",)),
    },
    cp.Pickler.dispatch_table,
)


def _dump(thing: Any, needs: dict[Need, None], big: list[Any], inline: bool = False) -> bytes:
    """Pickle; buffers that stay out of band are appended to ``big``."""

    def keep(buffer: Any) -> bool:
        view = buffer.raw()
        if view.nbytes < INLINE:
            return True
        big.append(view)
        return False

    file = io.BytesIO()
    try:
        Writer(file, needs, keep, inline).dump(thing)
    except RecursionError:
        raise pickle.PicklingError("the object is nested too deeply to be pickled") from None
    return file.getvalue()


# --- names -----------------------------------------------------------------------------------


_constants: dict[Need, tuple[Any, bytes, bytes]] = {}


def _with_submodules(need: Need, module: types.ModuleType) -> Any:
    """A module and those of its loaded submodules that the code mentions (``import os.path``)."""
    mentioned = _attributes.get(need, frozenset())
    prefix = module.__name__ + "."
    used = tuple(
        name
        for name in list(sys.modules)
        if name.startswith(prefix) and mentioned.issuperset(name[len(prefix) :].split("."))
    )
    return _Call(remote.submodules, module, used) if used else module


class _Call:
    """Pickles as the call of a function."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.steps = (function, args)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.steps


def _shipped_name(need: Need, more: dict[Need, None]) -> tuple[Any, ...] | None:
    """The row that brings a name to the other side; None if this side does not have it."""
    theirs, module, name = need
    if theirs == session():
        space = _spaces.get(module, {})
        if name not in space or name in _NOT_SHIPPED or name.startswith("__"):
            return None
        value = space[name]
    else:
        known = remote.layer(theirs, module)
        if name not in known.keys:
            return None
        value = known.builtins[name]
    simple = type(value) in _SIMPLE
    if simple:
        found = _constants.get(need)
        if found is not None and found[0] is value:
            return (*need, remote.VALUE, found[1], found[2], [])
    elif isinstance(value, types.ModuleType):
        value = _with_submodules(need, value)
    big: list[Any] = []
    try:
        blob = _dump(value, more, big)
    except Exception as error:
        reason = f"the global {name!r} that the function uses cannot be sent: {error}"
        return (*need, remote.UNAVAILABLE, b"", reason.encode(), [])
    if big:
        key = b"%s:%d" % (session().encode(), next(_unique))
        return (*need, remote.VALUE, key, blob, [pickle.PickleBuffer(view) for view in big])
    key = hashlib.blake2b(blob, digest_size=16).digest()
    if simple:
        _constants[need] = (value, key, blob)
    return (*need, remote.VALUE, key, blob, [])


def _shipped_names(needs: Iterable[Need], seen: set[Need] | None = None) -> list[tuple[Any, ...]]:
    """Rows for all names that are needed, and for those that their values need in turn.

    ``seen`` gets all of these, also those that this side does not have.
    """
    rows = []
    done: set[Need] = set() if seen is None else seen
    work = list(needs)
    while work:
        need = work.pop()
        if need in done:
            continue
        done.add(need)
        more: dict[Need, None] = {}
        row = _shipped_name(need, more)
        if row is not None:
            rows.append(row)
            work.extend(more)
    rows.reverse()
    return rows


# --- requests and results ---------------------------------------------------------------------


explicit_only = False
"""True: functions go without the names of the notebook (``Client.ship_names = False``)."""


def dump(thing: Any) -> list[Any]:
    """Pickle anything for the other side: ``[pickle, buffer, …]``, with the names that it needs."""
    needs: dict[Need, None] = {}
    big: list[Any] = []
    body = _dump(thing, needs, big)
    if not needs or explicit_only:
        return [body, *big]
    rows = _shipped_names(needs)
    if not rows:
        return [body, *big]
    outer: list[Any] = []
    call = _Call(remote.open_request, rows, body, [pickle.PickleBuffer(view) for view in big])
    body = pickle.dumps(call, 5, buffer_callback=lambda buffer: outer.append(buffer.raw()))
    return [body, *outer]


_MARK_OF_FRAME = b"\x80\x05\x95"
_NO_ARGUMENTS = b")"  # an empty tuple
_NO_KEYWORDS = b"}\x87."  # an empty dict, a tuple of three, the end


class _Known(NamedTuple):
    """What a call of a function begins with, kept from call to call."""

    function: Any
    prefix: bytes
    """The opcodes that put the function on the stack."""
    rows: list[tuple[Any, ...]]
    """The names that it needs."""
    right: Callable[[], bool] | None
    """Tells if all that is still right; None: always."""


_known_calls: dict[int, _Known] = {}
"""By id() of the function."""


def _known(function: Any) -> _Known | None:
    """What a call begins with; None if it, or a name that it uses, means something that may change
    without our seeing it.

    It stays the same from call to call, so a call with plain arguments only adds those. Protocol 3
    is used for the arguments: it numbers its memo itself and so can follow any other pickle.
    """
    found = _known_calls.get(id(function))
    if found is not None and found.function is function and (found.right is None or found.right()):
        return found
    kind = type(function)
    if kind not in (types.BuiltinFunctionType, types.FunctionType, type):
        return None  # an object that may change
    by_value = kind is not types.BuiltinFunctionType and _by_value(function)
    right = None if by_value else _same_reference(function)
    needs: dict[Need, None] = {}
    big: list[Any] = []
    body = _dump(function, needs, big)
    framed = len(body) - 11 == int.from_bytes(body[3:11], "little")
    if big or not body.startswith(_MARK_OF_FRAME) or not framed:
        return None
    if by_value:
        right = _same_definition(function)
        if right is None:
            return None
    rows: list[tuple[Any, ...]] = []
    if needs and not explicit_only:
        seen: set[Need] = set()
        rows = _shipped_names(needs, seen)
        right = _same_names(seen, right)
        if right is None:
            return None
    if len(_known_calls) > 512:
        _known_calls.clear()
    made = _known_calls[id(function)] = _Known(function, b"\x80\x05" + body[11:-1], rows, right)
    return made


_ABSENT = object()


def _same_names(needs: set[Need], own: Callable[[], bool] | None) -> Callable[[], bool] | None:
    """What tells if global names mean what they do now, and ``own`` holds; None: nothing does, as
    there is one whose value may change in itself."""
    watched: list[tuple[dict[str, Any], str, Any, Callable[[], bool] | None]] = []
    for theirs, module, name in needs:
        if theirs != session():
            return None
        space = _spaces.get(module, {})
        value = space.get(name, _ABSENT)
        kind = type(value)
        check: Callable[[], bool] | None = None
        if kind is types.FunctionType or kind is type:
            by_value = _by_value(value)
            check = _same_definition(value) if by_value else _same_reference(value)
            if by_value and check is None:
                return None
        elif kind is types.ModuleType:
            if sources.is_local(value):
                return None
        elif not (kind in _SIMPLE or kind is types.BuiltinFunctionType or value is _ABSENT):
            return None
        watched.append((space, name, value, check))
    loaded = len(sys.modules)  # a submodule that was imported since may be one that is used

    def same() -> bool:
        if len(sys.modules) != loaded or explicit_only or not (own is None or own()):
            return False
        for space, name, value, check in watched:
            if space.get(name, _ABSENT) is not value or not (check is None or check()):
                return False
        return True

    return same


def _same_definition(thing: Any) -> Callable[[], bool] | None:
    """What tells if what travels by value is still defined as it is now; None: nothing does."""
    number = id(thing)
    known = _definitions.get(number)
    if known is None:
        return None
    if type(thing) is not types.FunctionType or thing.__closure__:
        return lambda: _definitions.get(number) is known and _definition(thing) is known
    code, defaults, name, doc = known.stamp

    def same() -> bool:  # as _function_stamp has it, and quicker
        return (
            thing.__code__ is code
            and thing.__defaults__ is defaults
            and thing.__name__ is name
            and thing.__doc__ is doc
            and not thing.__kwdefaults__
            and not thing.__dict__
            and _definitions.get(number) is known
        )

    return same


def _same_reference(thing: Any) -> Callable[[], bool] | None:
    """What tells if a function or class is what its name means, and its module's source the same;
    None: it is installed, and stays as it is."""
    home = sources.home_of(thing)
    if home is None:
        return None
    module, path = home
    bundle = sources.bundle_of(module)
    find = operator.attrgetter(path)

    def same() -> bool:
        try:
            return find(module) is thing and sources.bundle_of(module) is bundle
        except AttributeError:
            return False

    return same


def _with_names(rows: list[tuple[Any, ...]], body: bytes) -> bytes:
    """A pickle that brings the names that it needs."""
    return pickle.dumps(_Call(remote.open_request, rows, body, []), 5)


def dump_request(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
    """The buffers of an apply_request. TypeError or PicklingError name what cannot be pickled."""
    try:
        if not kwargs and (not args or all(type(value) in _PLAIN for value in args)):
            known = _known(function)
            if known is not None:
                given = pickle.dumps(args, 3)[2:-1] if args else _NO_ARGUMENTS
                body = known.prefix + given + _NO_KEYWORDS
                return [_with_names(known.rows, body) if known.rows else body]
        return dump((function, args, kwargs))
    except Exception as error:
        raise culprits.explained(
            error, _dump_whole, _request_parts(function, args, kwargs)
        ) from None


HEAVY = 64 * 1024
"""A function (with all it brings along) above this size is sent once for a whole map."""

_FEW = 1000
"""Up to so many items, it is worth it to look if they are plain."""


def _is_plain(column: Any) -> bool:
    kind = type(column)
    if kind is range:
        return True
    return (kind is list or kind is tuple) and (
        len(column) <= _FEW and all(type(value) in _PLAIN for value in column)
    )


_MAPPER = pickle.dumps(remote.mapper, 5)[2:-1]  # two bytes: it goes by number
_CALLED_WITH_IT = b"\x85R"  # a tuple of one, and what is under it called


def _mapper_of(function: Any) -> bytes | None:
    """What begins the pickle of a map's calls; None if nothing can be put behind it."""
    body = _dump(_Call(remote.mapper, function), {}, [])
    if body.startswith(_MARK_OF_FRAME) and len(body) - 11 == int.from_bytes(body[3:11], "little"):
        return b"\x80\x05" + body[11:-1]
    return None


def _dump_quickly(
    function: Any,
    prefix: bytes | None,
    calls: Iterable[tuple[Any, ...]],
    rows: list[tuple[Any, ...]],
) -> Iterator[list[Any]]:
    """Calls of a map whose function, and the names it needs, are pickled once for all of them."""
    for call in calls:
        if prefix is None or not all(map(_is_plain, call[0])):
            yield dump_request(remote.call_map, (function, *call), {})
            continue
        request = prefix + pickle.dumps(call, 3)[2:-1] + _NO_KEYWORDS
        yield [_with_names(rows, request) if rows else request]


def _is_light(body: bytes, rows: list[tuple[Any, ...]]) -> bool:
    """Whether a function, and the names that it needs, may go with each call of a map."""
    size = len(body) + sum(len(row[5]) for row in rows)
    return size < HEAVY and not any(row[6] for row in rows)


def dump_calls(
    function: Any, calls: Iterable[tuple[Any, ...]]
) -> tuple[list[Any] | None, Iterator[list[Any]]]:
    """Calls ``call_map(function, *arguments)`` for several tasks: what goes ahead, and each one.

    A function with big data of its own, in its closure or in globals that it uses, would carry that
    in each call. It goes ahead instead, once to all engines, and the calls name it.
    """
    needs: dict[Need, None] = {}
    big: list[Any] = []
    try:
        known = _known(function)
        if known is not None and _is_light(known.prefix, known.rows):
            prefix = b"\x80\x05" + _MAPPER + known.prefix[2:] + _CALLED_WITH_IT
            return None, _dump_quickly(function, prefix, calls, known.rows)
        body = _dump(function, needs, big)
    except Exception as error:
        raise culprits.explained(error, _dump_whole, _request_parts(function, (), {})) from None
    rows = _shipped_names(needs) if needs and not explicit_only else []
    if not big and _is_light(body, rows):
        return None, _dump_quickly(function, _mapper_of(function), calls, rows)
    name = f"function {next(_unique)}"
    need = (session(), remote.MAPS, name)
    rows.append((*need, remote.VALUE, name.encode(), body, list(map(pickle.PickleBuffer, big))))
    ahead: list[Any] = []
    call = _Call(remote.open_request, rows, pickle.dumps((remote.nothing, (), {}), 5), [])
    outer = pickle.dumps(call, 5, buffer_callback=lambda buffer: ahead.append(buffer.raw()))
    stub = _Call(remote.shipped, *need)
    return [outer, *ahead], _dump_quickly(stub, _mapper_of(stub), calls, [])


def dump_result(value: Any) -> list[Any]:
    """The buffers of an apply_reply."""
    if type(value) in _SIMPLE:
        return [pickle.dumps(value, 5)]
    try:
        return dump(value)
    except Exception as error:
        raise culprits.explained(error, _dump_whole, [("the result", value)]) from None


def dump_error(error: BaseException) -> bytes | None:
    """An exception for the other side, or None if it cannot be pickled and unpickled."""
    try:
        needs: dict[Need, None] = {}
        return _dump(error, needs, [])
    except Exception:
        return None


def _dump_whole(thing: Any) -> bytes:
    return _dump(thing, {}, [])


def _request_parts(
    function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Iterator[tuple[str, Any]]:
    yield getattr(function, "__name__", "the function"), function
    for number, value in enumerate(args):
        yield f"argument {number}", value
    for name, value in kwargs.items():
        yield f"argument {name}", value


def __px_preload__() -> None:
    """In an engine's warm parent: what the first result of each engine would have to look up."""
    sources.installed_roots()
