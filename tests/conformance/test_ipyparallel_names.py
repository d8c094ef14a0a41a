"""Every public name of ipyparallel, with its parameters, against ours; what differs, and why.

The real one is read from its installed package (.venv/stock) in a process of its own. A difference
that is not listed here fails the test, and so does one that is listed and is not there any more.
"""

import ast
import inspect
import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import pxparallel

STOCK = Path(sys.prefix) / "stock"
pytestmark = pytest.mark.skipif(
    not (STOCK / "ipyparallel").is_dir(), reason="the test set-up installs ipyparallel there"
)

# What is asked of the real one: for each public name what it is, and of classes their own members.
READ = """
import inspect, json
import ipyparallel as ipp

def parameters(thing):
    try:
        return [p.name for p in inspect.signature(thing).parameters.values()
                if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    except (TypeError, ValueError):
        return None

def members(cls):
    found = {}
    for base in reversed(cls.__mro__):
        if not base.__module__.startswith("ipyparallel"):
            continue
        for name in vars(base):
            if not name.startswith("_"):
                value = getattr(cls, name, None)
                found[name] = parameters(value) if callable(value) else None
    return found

names = {}
for name in dir(ipp):
    value = getattr(ipp, name)
    if name.startswith("_") or inspect.ismodule(value) and not value.__name__.startswith("ipyp"):
        continue
    if inspect.isclass(value):
        names[name] = {"parameters": parameters(value), "members": members(value)}
    else:
        names[name] = {"parameters": parameters(value) if callable(value) else None}
print(json.dumps(names))
"""

# --- what differs --------------------------------------------------------------------------------
# `name` or `class.member`: there is none here.
INTERNAL = "a part of their machinery: "
ALLOWED = {
    # names of the package
    "MultipleInstanceError": INTERNAL + "an import, from traitlets",
    "can_map": INTERNAL + "a table of their serialisation",
    "controller": INTERNAL + "the package of their controller",
    "traitlets": INTERNAL + "kinds of traits of their configuration",
    "uncan_map": INTERNAL + "a table of their serialisation",
    # Client
    "Client.create_message_futures": INTERNAL + "messages are made in C here",
    "Client.curve_publickey": INTERNAL + "the key is the cluster's, not a client's",
    "Client.curve_secretkey": INTERNAL + "the key is the cluster's, not a client's",
    "Client.curve_serverkey": INTERNAL + "the key is the cluster's, not a client's",
    "Client.send_apply_request": INTERNAL + "messages are made in C here",
    "Client.send_execute_request": INTERNAL + "messages are made in C here",
    "ParallelFunction.mapObject": INTERNAL + "the object that divides sequences",
}


def theirs():
    done = subprocess.run(
        [sys.executable, "-c", READ],
        env={"PYTHONPATH": str(STOCK), "PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def attributes(cls):
    """Names that instances get in methods: `self.name = …`, also of the bases."""
    found = set()
    for base in cls.__mro__:
        try:
            source = textwrap.dedent(inspect.getsource(base))
        except (OSError, TypeError):
            continue
        for node in ast.walk(ast.parse(source)):
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.ctx, ast.Store)
                and isinstance(node.value, ast.Name)
                and node.value.id == "self"
            ):
                found.add(node.attr)
    return found


def accepts(function, name):
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return True
    return name in parameters or any(one.kind is one.VAR_KEYWORD for one in parameters.values())


def lacking(where, wanted, function):
    """Parameters by name that ours does not take."""
    for name in wanted or ():
        if name not in ("self", "cls") and not name.startswith("_") and not accepts(function, name):
            yield f"{where}({name})"


def differences():
    for name, about in theirs().items():
        if not hasattr(pxparallel, name):
            yield name
            continue
        ours = getattr(pxparallel, name)
        if "members" not in about:
            yield from lacking(name, about["parameters"], ours)
            continue
        own = attributes(ours) if inspect.isclass(ours) else set()
        for member, parameters in about["members"].items():
            if hasattr(ours, member):
                yield from lacking(f"{name}.{member}", parameters, getattr(ours, member))
            elif member not in own:
                yield f"{name}.{member}"


def test_every_name_is_there_or_listed_with_a_reason():
    found = set(differences())
    unlisted = sorted(found - ALLOWED.keys())
    gone = sorted(ALLOWED.keys() - found)
    assert not unlisted, "lacking here: " + ", ".join(unlisted)
    assert not gone, "listed, but there now: " + ", ".join(gone)
