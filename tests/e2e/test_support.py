"""The fixtures themselves: what is left behind is found, whatever it did to hide."""

import os
import subprocess

import pytest
from support import Watch, alive


@pytest.fixture
def other(monkeypatch):
    """A watch that a test may fill with leaks; the test's own watch must not see them."""
    other = Watch()
    for name, value in other.environment().items():
        monkeypatch.setenv(name, value)
    return other


def test_watch__finds_and_ends_a_process_that_left_its_session(other):
    process = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    leaks = other.leaks(patience=0.1)
    assert len(leaks) == 1 and f"process {process.pid} lives on: sleep 1000" in leaks[0]
    process.wait(10)
    assert not alive(process.pid)


def test_watch__finds_a_file_in_the_run_folder(other):
    (other.run / "default").mkdir()
    (other.run / "default" / "control.sock").touch()
    assert "default/control.sock" in other.leaks()[0]
    assert not other.run.exists()


def test_watch__finds_a_segment_that_is_still_held(other):
    fd = os.memfd_create("px-leak")
    try:
        assert "segment" in other.leaks()[0]
    finally:
        os.close(fd)


def test_watch__finds_nothing_where_nothing_is(other):
    subprocess.run(["true"], check=True)
    assert other.leaks() == []
