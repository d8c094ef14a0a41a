"""ipykernel's own tests that talk to a kernel over its sockets, with this kernel in its place.

They are not copied: they run out of ipykernel's source distribution, which the test set-up
unpacks (tools/ipykernel.sh). docs/ipykernel-tests.md says which of its tests cannot apply, and why;
the list here is the same one.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from protocol_checks.subject import IPYKERNEL
from support import BIN

SOURCE = IPYKERNEL / "source"
FILES = (
    "test_kernel.py",
    "test_message_spec.py",
    "test_async.py",
    "test_debugger.py",
    "test_matplotlib_eventloops.py",
    "test_subshells.py",
)
NOT_FOR_US = (
    "tests/test_message_spec.py::test_non_execute_stop_on_error",
    "tests/test_debugger.py::test_debug_requests_sequential",
    "tests/test_kernel.py::test_parent_header_and_ident",
)
# These take the first message on iopub for their own, which another one may precede: tried again.
TRIES = 3


@pytest.fixture
def environment(watch, tmp_path):
    """An environment in which the kernel called python3 is ours."""
    spec = Path(sys.prefix) / "share/jupyter/kernels/pxkernel/kernel.json"
    content = json.loads(spec.read_text())
    content["argv"][0] = str(BIN / "pxkernel")
    folder = tmp_path / "kernels" / "python3"
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text(json.dumps(content))
    return {**os.environ, "JUPYTER_PATH": str(tmp_path)}


@pytest.mark.slow
@pytest.mark.skipif(
    not (SOURCE / "tests").is_dir(),
    reason="ipykernel's tests are not there: `make test` fetches them",
)
@pytest.mark.timeout(900)
@pytest.mark.parametrize("file", FILES)
def test_suite(file, environment, tmp_path, request):
    if "matplotlib" in file:
        environment["DISPLAY"] = request.getfixturevalue("display")
        environment.pop("CI", None)  # where they skip it
    settings = tmp_path / "pytest.ini"
    settings.write_text("[pytest]\nasyncio_mode = auto\ntimeout = 60\nmarkers = flaky\n")
    command = [sys.executable, "-m", "pytest", "-q", "-c", str(settings), "--rootdir", str(SOURCE)]
    command += ["-o", f"cache_dir={tmp_path / 'cache'}"]
    for name in NOT_FOR_US:
        command += ["--deselect", name]
    options = {"cwd": SOURCE, "env": environment, "capture_output": True, "text": True}
    selected = [f"tests/{file}"]
    for _ in range(TRIES):
        done = subprocess.run([*command, *selected], check=False, timeout=300, **options)
        if done.returncode == 0:
            return
        selected = ["--last-failed", f"tests/{file}"]
    pytest.fail(done.stdout[-6000:])
