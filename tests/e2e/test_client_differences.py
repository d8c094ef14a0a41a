"""Another Python, other packages, another folder than the engines': told at connection."""

import os
import sys
import types

import pytest
from support import wait_for

from pxparallel import Client, differences

CONNECT = "from pxparallel import Client; rc = Client()"
PATIENT = "from pxparallel import differences; differences.PATIENCE = 60"


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """However slow the machine is, the engines' answers are waited for."""
    monkeypatch.setattr(differences, "PATIENCE", 60)


def test_nothing_is_said_when_all_is_equal(kernel, cluster, recwarn):
    cluster(2)
    kernel.run("import numpy").ok()
    kernel.run(PATIENT).ok()
    result = kernel.run(CONNECT).ok()
    assert result.stdout == "" and result.stderr == ""
    Client().close()
    assert not recwarn.list


def test_the_working_directory_is_told_in_one_line(kernel, cluster, tmp_path):
    cluster(2, "default", "--cwd", str(tmp_path))
    kernel.run(PATIENT).ok()
    result = kernel.run(CONNECT).ok()
    line = f"working directory {tmp_path} there, {os.getcwd()} here"
    assert line in result.stderr and result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "version", "words"),
    [
        ("numpy", "0.0.1", "numpy {} there, 0.0.1 here"),  # imported by the engines
        ("sklearn", "0.0.1", "sklearn {} there, 0.0.1 here"),  # installed, by another name
        ("px_only_here", "1.0", "px_only_here missing there, 1.0 here"),
    ],
)
def test_versions_of_what_was_imported_here(cluster, monkeypatch, name, version, words):
    cluster(2)
    planted = types.ModuleType(name)
    real = pytest.importorskip(name).__version__ if name != "px_only_here" else None
    planted.__version__ = version
    monkeypatch.setitem(sys.modules, name, planted)
    with pytest.warns(differences.DifferencesWarning) as told:
        Client().close()
    assert len(told) == 1 and words.format(real) in str(told[0].message)


def test_several_differences_are_one_line_and_engines_that_differ_are_named():
    found = {
        0: {"numpy": ["1", "2"], "Python": ["3.11.1", "3.11.4"]},
        1: {"numpy": ["1", "2"]},
        2: {"numpy": ["1", "2"]},
    }
    assert differences.in_words(found) == (
        "numpy 1 there, 2 here; Python 3.11.1 on engines 0, 3.11.4 here"
    )


def test_another_minor_version_is_refused_unless_allowed(cluster, monkeypatch):
    cluster(1)
    monkeypatch.setattr(sys, "version_info", (3, 99, 0, "final", 0))
    with pytest.raises(differences.DifferentPythonError, match=r"engines 0: 3\.\d+.*other_python"):
        Client()
    with Client(other_python=True) as rc:
        assert rc[0].apply_sync(int) == 0


def test_engines_at_work_are_not_waited_for(cluster, monkeypatch, tmp_path):
    one = cluster(1)
    with Client() as rc:
        rc[0].execute("import time; time.sleep(600)", block=False)
        wait_for(lambda: one.status["busy"] == 1, "at work")
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(differences, "PATIENCE", 600)
        Client().close()  # without a word
