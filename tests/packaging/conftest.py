"""Environments that have nothing but a wheel of ours and what it requires.

The wheels are those in dist/, which `make wheels` makes, one for each CPython of this machine. An
environment is made once for all tests of a wheel.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests" / "lint"))  # exports.py
HIDDEN = Path(__file__).with_name("hidden.sh")
WHEELS = {
    path.name.split("-")[2]: path for path in sorted(TOP.glob("dist/pxkernel-*-manylinux*.whl"))
}
# The versions that the project is tested with.
_CONSTRAINTS = TOP / "tools" / "constraints.txt"


class Installed:
    """A wheel in a virtual environment of its own."""

    def __init__(self, wheel: Path, python: str, folder: Path) -> None:
        self.wheel = wheel
        self.prefix = folder
        self.python = folder / "bin" / "python"
        run(python, "-m", "venv", folder)
        self.before = self.files()
        self.install(wheel)

    def install(self, *what: object) -> None:
        """Install wheels, no sources, in the versions that the project is tested with."""
        self.pip("install", "-q", "--only-binary", ":all:", "-c", _CONSTRAINTS, *what)

    def pip(self, *arguments: object) -> str:
        """Run the environment's pip."""
        return run(self.python, "-m", "pip", "--disable-pip-version-check", *arguments)

    def files(self) -> set[str]:
        """All files of the environment, without byte code."""
        return {
            str(path.relative_to(self.prefix))
            for path in self.prefix.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }

    def own_files(self) -> set[str]:
        """What the wheel says that it installed, without byte code."""
        site = next(self.prefix.glob("lib/python3.*/site-packages"))
        lines = next(site.glob("pxkernel-*.dist-info/RECORD")).read_text().splitlines()
        paths = [(site / line.split(",")[0]).resolve() for line in lines]
        return {
            str(path.relative_to(self.prefix.resolve()))
            for path in paths
            if "__pycache__" not in path.parts
        }

    def program(self, name: str) -> Path:
        """One of its executables."""
        return self.prefix / "bin" / name


def run(*command: object) -> str:
    """Run a program in a clean environment; what it printed."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "PYTHON", "VIRTUAL"))}
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, env=env, check=False
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stderr}"
    return done.stdout


def pythons() -> dict[str, str]:
    """The interpreters of this machine by their wheels' tag."""
    found = {}
    for line in run(TOP / "tools" / "pythons.sh", sys.executable).splitlines():
        found["cp" + Path(line).name.removeprefix("python").replace(".", "")] = line
    return found


@pytest.fixture(scope="session", params=sorted(WHEELS) or [None])
def installed(request, tmp_path_factory) -> Installed:
    """Each wheel, installed."""
    if request.param is None:
        pytest.skip("there are no wheels in dist/: make wheels")
    python = pythons().get(request.param)
    if python is None:
        pytest.skip(f"there is no Python here for {WHEELS[request.param].name}")
    folder = tmp_path_factory.mktemp(request.param) / "env"
    return Installed(WHEELS[request.param], python, folder)


@pytest.fixture(scope="session")
def hidden() -> list[str]:
    """The words before a command that take the system's C libraries from it."""
    if subprocess.run([HIDDEN, "true"], check=False).returncode == 77:
        pytest.skip("this machine lets nobody make a mount namespace, so nothing can be hidden")
    return [str(HIDDEN)]
