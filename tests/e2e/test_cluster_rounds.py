"""Start, kill somebody with -9 at any moment, look what is left: over and over.

``PX_TEST_ROUNDS`` says how often; `make soak` does a thousand.
"""

import contextlib
import os
import random
import signal
from pathlib import Path

import pytest
from support import marked, pxcluster, wait_for, wait_gone

from pxparallel import Client

ROUNDS = int(os.environ.get("PX_TEST_ROUNDS", "12"))


def family(pid: int) -> list[int]:
    """A process and its descendants, as far as they exist now."""
    found = [pid]
    for one in found:
        with contextlib.suppress(OSError):
            children = Path(f"/proc/{one}/task/{one}/children").read_text()
            found += map(int, children.split())
    return found


def kill(pid: int) -> None:
    """SIGKILL, if it still lives."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def use(chance: random.Random) -> Client | None:
    """Somebody connects, maybe, and asks for something that he does not wait for."""
    if chance.random() < 0.5:
        return None
    try:
        rc = Client(timeout=5)
        if rc.ids:
            rc[:].apply_async(lambda: __import__("time").sleep(60))
            rc.load_balanced_view().map_async(abs, range(100), chunksize=1)
            rc[:].push({"big": bytes(8 << 20)}, block=False)
    except Exception as error:  # it may be on its way out: then that is said in words
        assert str(error).strip(), repr(error)
        return None
    return rc


@pytest.mark.timeout(60 + 20 * ROUNDS)
def test_nothing_is_left_whoever_is_killed_whenever(watch):
    chance = random.Random(int(os.environ.get("PX_TEST_SHUFFLE", "1")))
    for number in range(ROUNDS):
        waits = chance.random() < 0.5
        started = pxcluster("start", "-n", "2", *([] if waits else ["--no-wait"]))
        controller = started["pid"]
        if not waits and chance.random() < 0.5:
            wait_for(lambda pid=controller: len(family(pid)) > 1, "a zygote")
        rc = use(chance)
        everybody = family(controller)
        victim = chance.choice(everybody)
        kill(victim)
        if victim != controller and chance.random() < 0.5:
            kill(controller)
        pxcluster("stop", check=False)
        assert wait_gone(everybody, 2) == [], f"round {number}"
        if rc is not None:
            rc.close()
        pxcluster("clean")
        wait_for(lambda: not os.listdir(watch.run), f"round {number}: the run folder is empty", 2)
    assert marked(watch.mark) == []
