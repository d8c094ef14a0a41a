"""What runs on the other side: the light half of serialisation, and the helpers that views call.

Engines import this module because requests name its functions; it imports nothing heavy and
knows nothing of clients. It works the same in the notebook, which receives results with it.

Whose names win
---------------
A function written in the notebook runs on an engine with the engine's user namespace as its
globals, so the engine's names come first. Names that only the notebook has come with the
function and live in a *layer*: a dict of builtins plus shipped names that stands where
Python looks last. Nothing of the engine is ever overwritten, lookups cost nothing extra,
and every function of one notebook shares one layer, so recursion, helpers that call each
other, and a helper that was edited meanwhile all work as they do in the notebook.

Functions made *inside* such a function take their builtins from their globals, not from the
function that makes them. Code whose inner code looks up names therefore gets globals of
another kind: an empty dict that asks the user namespace first and then the layer (about 50 ns
a lookup instead of 3).

Definitions travel as a key (a hash of the content) and a pickle. Who knows the key does not
unpickle; who owns the key's object, the notebook that gets an instance of its own class back,
uses its own.
"""

from __future__ import annotations

import builtins
import copyreg
import dis
import importlib
import importlib.machinery
import importlib.util
import linecache
import marshal
import pickle
import reprlib
import sys
import threading
import types
import weakref
import zlib
from typing import Any

VALUE, UNAVAILABLE = 0, 1
"""Kinds of shipped names: a value, or why it could not be pickled."""

MAPS = "functions of maps"
"""The layer of functions that were sent ahead of a map's tasks; the last ``_MAPS`` are kept."""

_CACHE_SIZE = 4096
_MAPS = 4
_lock = threading.RLock()
_layers: dict[tuple[str, str], Layer] = {}
_received: dict[bytes, Any] = {}
_own: weakref.WeakValueDictionary[bytes, Any] = weakref.WeakValueDictionary()
_origins: dict[int, Origin] = {}
_own_classes: weakref.WeakSet[type] = weakref.WeakSet()
_received_classes: weakref.WeakSet[type] = weakref.WeakSet()
home_modules: set[str] = set()
"""Modules that this process ships: when they come back, its own are meant."""


def user_namespace() -> dict[str, Any]:
    """The namespace of the user: that of ``__main__``, which is IPython's where IPython runs."""
    return sys.modules["__main__"].__dict__


def place() -> str:
    """Where this code runs, for messages: ``engine 3`` or ``this process``."""
    kernel = sys.modules.get("pxkernel._kernel")
    engine = getattr(kernel, "engine_id", -1)
    return f"engine {engine}" if engine >= 0 else "this process"


# --- layers and functions -------------------------------------------------------------------


class Layer:
    """The names that one notebook (or script) has shipped, from one of its modules."""

    __slots__ = ("_inner", "builtins", "keys", "module_globals")

    def __init__(self, module: str) -> None:
        self.builtins: dict[str, Any] = dict(builtins.__dict__)
        self.keys: dict[str, bytes] = {}
        self.module_globals = {"__name__": module, "__builtins__": builtins.__dict__}
        self._inner: dict[str, Any] | None = None

    def clear(self) -> None:
        """Forget what was shipped; functions that look here go on doing so."""
        for name in self.keys:
            self.module_globals.pop(name, None)
            if name in builtins.__dict__:
                self.builtins[name] = builtins.__dict__[name]
            else:
                self.builtins.pop(name, None)
        self.keys.clear()

    def inner_globals(self) -> dict[str, Any]:
        """Globals for code with inner code: the user namespace, then this layer."""
        if self._inner is None:
            namespace = user_namespace()
            kind = type("UserNamespace", (dict,), {"__missing__": namespace.__getitem__})
            self._inner = kind(__name__="__main__", __builtins__=self.builtins)
        return self._inner


def layer(session: str, module: str) -> Layer:
    """The layer of a session's module; made when it is new."""
    found = _layers.get((session, module))
    if found is None:
        with _lock:
            found = _layers.setdefault((session, module), Layer(module))
    return found


def _function_with_builtins(code: types.CodeType, cells: Any, names: dict[str, Any]) -> Any:
    """A function of the user namespace whose last resort is ``names`` instead of builtins."""
    namespace = user_namespace()
    with _lock:
        saved = namespace.get("__builtins__", builtins)
        namespace["__builtins__"] = names
        try:
            return types.FunctionType(code, namespace, None, None, cells)
        finally:
            namespace["__builtins__"] = saved


def make_function(
    session: str,
    home: str | types.ModuleType,
    shadow: bool,
    version: int,
    code: bytes,
    inner: tuple[str, ...],
    source: tuple[str, str] | None,
) -> types.FunctionType:
    """First step of receiving a function: the code, in the right globals, with empty cells.

    ``home`` is a module that can be imported (the function gets its globals), or the name of one
    whose names are shipped. ``inner`` are the names that inner code looks up.
    """
    if version != sys.hexversion >> 16:
        theirs, ours = (
            f"{number >> 8}.{number & 255}" for number in (version, sys.hexversion >> 16)
        )
        raise RuntimeError(
            f"a function made by Python {theirs} cannot run on Python {ours} ({place()}): "
            "start the engines with the notebook's Python"
        )
    if source is not None and source[0] not in linecache.cache:
        name, text = source
        linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    body = marshal.loads(code)
    cells = tuple(types.CellType() for _ in body.co_freevars) or None
    if isinstance(home, types.ModuleType):
        return types.FunctionType(body, home.__dict__, None, None, cells)
    known = layer(session, home)
    if shadow:
        return types.FunctionType(body, known.module_globals, None, None, cells)
    if not inner:
        return _function_with_builtins(body, cells, known.builtins)
    if _stores_globals(body):
        # `global x` beside inner code that uses shipped names: those must be real names then.
        namespace = user_namespace()
        for name in inner:
            if name in known.keys:
                namespace.setdefault(name, known.builtins[name])
        return _function_with_builtins(body, cells, known.builtins)
    return types.FunctionType(body, known.inner_globals(), None, None, cells)


def _stores_globals(code: types.CodeType) -> bool:
    """True if the code or its inner code has a ``global`` statement with an assignment."""
    if any(step.opname in ("STORE_GLOBAL", "DELETE_GLOBAL") for step in dis.get_instructions(code)):
        return True
    return any(_stores_globals(part) for part in code.co_consts if isinstance(part, types.CodeType))


def fill_function(function: types.FunctionType, state: tuple[Any, ...]) -> None:
    """Second step: cells, defaults and attributes, which may refer to the function itself."""
    cells, defaults, kwdefaults, attributes, names = state
    for cell, content in zip(function.__closure__ or (), cells, strict=True):
        if content:
            cell.cell_contents = content[0]
    function.__defaults__ = defaults
    function.__kwdefaults__ = kwdefaults
    if attributes:
        function.__dict__.update(attributes)
    for name, value in names.items():
        setattr(function, name, value)


def fill_class(cls: type, state: Any) -> Any:
    """Second step of receiving a class; one of our own that came home stays as it is."""
    if cls in _own_classes:
        return cls
    _received_classes.add(cls)
    from cloudpickle.cloudpickle import _class_setstate

    return _class_setstate(cls, state)


# --- definitions by key -----------------------------------------------------------------------


class Origin:
    """Which definition a received function or class came with: it goes back as that."""

    __slots__ = ("blob", "key", "needs", "thing")

    def __init__(self, thing: Any, key: bytes, blob: bytes, needs: tuple[Any, ...]) -> None:
        number = id(thing)
        self.thing = weakref.ref(thing, lambda _: _origins.pop(number, None))
        self.key = key
        self.blob = blob
        self.needs = needs
        _origins[number] = self


def define(key: bytes, blob: bytes, needs: tuple[Any, ...] = ()) -> Any:
    """The object of this key: our own, one received before, or a new one out of the blob."""
    try:
        return _received[key]
    except KeyError:
        pass
    found = _own.get(key)
    if found is not None:
        return found
    thing = pickle.loads(blob)
    if len(_received) >= _CACHE_SIZE:
        with _lock:
            for old in list(_received)[: _CACHE_SIZE // 2]:
                _received.pop(old, None)
    _received[key] = thing
    if not (isinstance(thing, type) and thing in _own_classes):
        Origin(thing, key, blob, needs)
    return thing


def origin(thing: Any) -> Origin | None:
    """Where an object came from, or None if it was made here."""
    found = _origins.get(id(thing))
    return found if found is not None and found.thing() is thing else None


def own(thing: Any, key: bytes) -> None:
    """Note that the object of this key was made here."""
    _own[key] = thing


def own_class(cls: type) -> None:
    """Note a class made here, if it was: it keeps its content when it comes back."""
    if cls not in _received_classes:
        _own_classes.add(cls)


def open_request(names: list[tuple[Any, ...]], body: bytes, buffers: list[Any]) -> Any:
    """Unpack a request or result that brings names along: they are set in their layers first."""
    for session, module, name, kind, key, blob, extra in names:
        home = layer(session, module)
        if home.keys.get(name) == key:
            continue
        if kind == UNAVAILABLE:
            if module == "__main__" and name in user_namespace():
                continue
            raise pickle.PicklingError(f"{blob.decode()}; define {name!r} on the engines (%px)")
        value = loads(blob, extra)
        home.builtins[name] = value
        home.module_globals[name] = value
        home.keys[name] = key
        if module == MAPS and len(home.keys) > _MAPS:
            oldest = next(iter(home.keys))
            del home.keys[oldest], home.builtins[oldest], home.module_globals[oldest]
    return loads(body, buffers)


def shipped(session: str, module: str, name: str) -> Any:
    """What was sent ahead."""
    home = layer(session, module)
    if name not in home.keys:
        raise RuntimeError(
            f"{place()} does not have the function of this map any more, or not yet: it joined "
            f"later, or {_MAPS} other maps of big functions came between; map again"
        )
    return home.builtins[name]


def loads(body: Any, buffers: Any = ()) -> Any:
    """Unpickle; arrays in buffers that are read-only here get memory of their own."""
    if not buffers:
        return pickle.loads(body)
    return pickle.loads(body, buffers=[writable(buffer) for buffer in buffers])


def writable(buffer: Any) -> Any:
    """The buffer, or a copy that can be written to."""
    view = buffer if isinstance(buffer, memoryview) else memoryview(buffer)
    return bytearray(view) if view.readonly else buffer


# --- modules that are only beside the notebook ------------------------------------------------


class _ShippedModules:
    """Finds modules whose source came from the notebook."""

    def __init__(self) -> None:
        self.sources: dict[str, tuple[bytes, str, str, bool]] = {}

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:
        found = self.sources.get(fullname)
        if found is None:
            return None
        spec = importlib.machinery.ModuleSpec(fullname, self, origin=found[2], is_package=found[3])
        spec.has_location = True
        return spec

    def create_module(self, spec: Any) -> None:
        return None

    def exec_module(self, module: types.ModuleType) -> None:
        key, source, filename, _ = self.sources[module.__name__]
        module.__dict__["__px_key__"] = key
        linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
        exec(compile(source, filename, "exec", dont_inherit=True), module.__dict__)


_shipped_modules = _ShippedModules()


_bundles: dict[bytes, tuple[tuple[str, bytes], ...]] = {}
"""Names and keys of the modules in the bundles that were unpacked here."""


def load_module(name: str, bundle: bytes, packed: bytes) -> types.ModuleType:
    """Import a module whose source (and that of the local ones it uses) is in the bundle.

    A module that this process has in another version is run anew in place, as
    ``importlib.reload`` does, so that names bound to the module see the new content.
    """
    found = sys.modules.get(name)
    if found is not None and (name in home_modules or _has_all(bundle)):
        return found
    with _lock:
        if _shipped_modules not in sys.meta_path:
            sys.meta_path.insert(0, _shipped_modules)
        stale = []
        table = pickle.loads(zlib.decompress(packed))
        for module, key, source, filename, package in table:
            _shipped_modules.sources[module] = (key, source, filename, package)
            loaded = sys.modules.get(module)
            if loaded is not None and getattr(loaded, "__px_key__", None) != key:
                stale.append(loaded)
        for loaded in stale:
            _shipped_modules.exec_module(loaded)
        if len(_bundles) >= _CACHE_SIZE:
            _bundles.clear()
        _bundles[bundle] = tuple((module, key) for module, key, *_ in table)
        return importlib.import_module(name)


def _has_all(bundle: bytes) -> bool:
    """True if every module of a bundle that was unpacked is loaded as it is in there."""
    return bundle in _bundles and all(
        module in sys.modules and sys.modules[module].__dict__.get("__px_key__") == key
        for module, key in _bundles[bundle]
    )


def shipped_source(name: str) -> tuple[bytes, str, str, bool] | None:
    """Key, source, file name and whether it is a package, of a module that came from elsewhere."""
    return _shipped_modules.sources.get(name)


def attribute(module: types.ModuleType, path: str) -> Any:
    """The object at a dotted path of a module."""
    thing: Any = module
    for name in path.split("."):
        thing = getattr(thing, name)
    return thing


def main_attribute(path: str) -> Any:
    """An object of the user namespace by name."""
    return attribute(sys.modules["__main__"], path)


def submodules(module: types.ModuleType, names: tuple[str, ...]) -> types.ModuleType:
    """The module, after importing those of its submodules that the code uses."""
    for name in names:
        importlib.import_module(name)
    return module


# --- what views run on the engines ------------------------------------------------------------


def evaluate(name: str) -> Any:
    """The value of a name or expression in the user namespace."""
    namespace = user_namespace()
    if name in namespace:
        return namespace[name]
    try:
        return eval(name, namespace)
    except NameError as error:
        missing = error.name or name
        raise NameError(f"name {missing!r} is not defined on this engine", name=missing) from None


def push(names: dict[str, Any]) -> None:
    """Set names; dotted and indexed ones too (``x.y``, ``d["k"]``)."""
    namespace = user_namespace()
    for name, value in names.items():
        if name.isidentifier():
            namespace[name] = value
            continue
        hidden = "__px_pushed__"
        namespace[hidden] = value
        try:
            exec(f"{name} = {hidden}", namespace)
        finally:
            del namespace[hidden]


def pull(names: str | list[str]) -> Any:
    """Values of names or expressions: one, or a list of them."""
    if isinstance(names, str):
        return evaluate(names)
    return [evaluate(name) for name in names]


def scatter(key: str, part: Any, flatten: bool) -> None:
    """Set a name to this engine's part of a sequence."""
    if flatten and len(part) == 1:
        part = part[0]
    push({key: part})


def call_map(
    function: Any,
    columns: tuple[Any, ...],
    keep_errors: bool,
    start: int = 0,
    step: int = 1,
) -> list[Any]:
    """``list(map(function, *columns))``; an error says which item of the whole it was.

    The items are those at ``start``, ``start + step``, … of the whole. With ``keep_errors``,
    errors stand among the results.
    """
    results: list[Any] = []
    if not keep_errors:
        try:
            results.extend(map(function, *columns))
        except Exception as error:
            number = len(results)
            given = columns[1:] if getattr(function, "seeded", False) else columns
            item = tuple(column[number] for column in given)
            text = reprlib.repr(item[0] if len(item) == 1 else item)
            error.add_note(f"in map, item {start + step * number}: {text}")
            raise
        return results
    for arguments in zip(*columns, strict=False):
        try:
            results.append(function(*arguments))
        except Exception as error:
            results.append(FailedItem(error))
    return results


def mapper(function: Any) -> Any:
    """``call_map`` of a function: calls of one map begin with the same bytes."""
    return types.MethodType(call_map, function)


class FailedItem:
    """An error among results: a RemoteError when it arrives."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __reduce__(self) -> tuple[Any, ...]:
        import traceback

        error = self.error
        steps = error.__traceback__.tb_next if error.__traceback__ is not None else None
        text = "".join(traceback.format_exception(type(error), error, steps))
        kernel = sys.modules.get("pxkernel._kernel")
        info = {
            "engine_id": getattr(kernel, "engine_id", -1),
            "engine_uuid": getattr(kernel, "ident", ""),
            "method": "apply",
        }
        serialize = importlib.import_module(f"{__package__}.serialize")
        blob = serialize.dump_error(error)
        return arrived_error, (type(error).__name__, str(error), text, info, blob)


def arrived_error(
    ename: str, evalue: str, text: str, info: dict[str, Any], blob: bytes | None
) -> Any:
    """The RemoteError of a failed item."""
    failures = importlib.import_module(f"{__package__}.error")
    try:
        original = None if blob is None else loads(blob)
    except Exception:
        original = None
    return failures.remote_error(ename, evalue, text, info, original)


def clear() -> None:
    """Empty the user namespace, shipped names too; IPython's own names come back."""
    for known in _layers.values():
        known.clear()
    get_ipython = sys.modules["IPython"].get_ipython if "IPython" in sys.modules else None
    shell = get_ipython() if get_ipython is not None else None
    if shell is not None:
        shell.reset(new_session=False)
        return
    namespace = user_namespace()
    for name in [name for name in namespace if not name.startswith("__")]:
        del namespace[name]


_DISTRIBUTIONS = {
    "sklearn": "scikit-learn",
    "PIL": "pillow",
    "cv2": "opencv-python",
    "yaml": "PyYAML",
    "skimage": "scikit-image",
    "bs4": "beautifulsoup4",
    "dateutil": "python-dateutil",
}


def compare(
    cwd: str, python: str, prefix: str, installed: dict[str, str], others: dict[str, str]
) -> str:
    """What differs here, as JSON: ``{what: [here, there]}``. Imports nothing of what it compares.

    A package that is imported here is asked itself, another one is looked up where packages say
    what they are; unless it is installed in the environment that both ends have, so that this
    process would import the same. (Looking up costs a process megabytes of its own.)
    """
    import json
    import os

    differing = {}
    if python != sys.version.split()[0]:
        differing["Python"] = [sys.version.split()[0], python]
    for name, theirs in {**installed, **others}.items():
        ours = getattr(sys.modules.get(name), "__dict__", {}).get("__version__")
        if ours is None and not (name in installed and prefix == sys.prefix):
            ours = _version_on_disk(name)
        if ours is not None and ours != theirs:
            differing[name] = [ours, theirs]
    try:
        here = os.getcwd()
    except FileNotFoundError:
        here = "(removed)"
    if here != cwd:
        differing["working directory"] = [here, cwd]
    return json.dumps(differing)


def _version_on_disk(name: str) -> str | None:
    """The version of a package that is not imported, or "missing"; None where it says nothing."""
    from importlib import metadata

    try:
        return metadata.version(_DISTRIBUTIONS.get(name, name))
    except metadata.PackageNotFoundError:
        return "missing" if importlib.util.find_spec(name) is None else None


def run_here(function: Any) -> Any:
    """Call a function that needs nothing."""
    return function()


def nothing() -> None:
    """The smallest task: tells that an engine answers."""


class Reference:
    """Stands for a name or expression of the engine: on arrival it becomes the engine's value."""

    def __init__(self, name: str) -> None:
        if not isinstance(name, str):
            raise TypeError(f"a Reference needs a name, not {type(name).__name__}")
        self.name = name

    def __repr__(self) -> str:
        return f"<Reference: {self.name!r}>"

    def get_object(self, g: dict[str, Any] | None = None) -> Any:
        """The value in ``g``, else in the user namespace here."""
        return evaluate(self.name) if g is None else eval(self.name, g)

    def __reduce__(self) -> tuple[Any, ...]:
        return evaluate, (self.name,)


# What every call begins with goes by number: to find it by name takes 2 us on the engine, a sixth
# of a small task. pxkernel/apply.py has the same numbers, as an engine knows them before it has
# imported this module.
for _number, _name in enumerate(
    ("define", "attribute", "load_module", "mapper", "open_request"), start=0xF0
):
    copyreg.add_extension(__name__, _name, _number)
