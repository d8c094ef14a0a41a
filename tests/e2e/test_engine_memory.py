"""What an engine has for itself beside what its parent loaded, and how it ends."""

from pathlib import Path

from support import wait_gone

from pxparallel import Client

MIB = 1 << 20

ENDS = """
import sys
sys.path.insert(0, {folder!r})
import px_left_open
own = open({folder!r} + "/own", "w")
own.write("a name's file")
import IPython
IPython.px_odd = open({folder!r} + "/odd", "w")
IPython.px_odd.write("a file that hangs on a module")
import atexit
atexit.register(lambda: open({folder!r} + "/atexit", "w").write("registered"))
class Cycle:
    def __del__(self):
        open({folder!r} + "/cycle", "w").write("finalised")
cycle = Cycle()
cycle.itself = cycle
"""

MODULE = """
file = open({folder!r} + "/module", "w")
file.write("a module's file")
class Last:
    def __del__(self):
        open({folder!r} + "/last", "w").write("finalised")
last = Last()
"""


def test_ends__files_are_written_and_objects_finalised(cluster, tmp_path):
    """An engine does not take apart the modules it was forked with; all else is let go of."""
    one = cluster(1)
    folder = str(tmp_path)
    (tmp_path / "px_left_open.py").write_text(MODULE.format(folder=folder))
    with Client() as rc:
        rc[0].execute(ENDS.format(folder=folder)).get()
        pid = one.engine_pid(0)
        rc.shutdown(block=True)
    wait_gone([pid])
    names = ("own", "odd", "atexit", "cycle", "module", "last")
    assert {name: (tmp_path / name).read_text() for name in names} == {
        "own": "a name's file",
        "odd": "a file that hangs on a module",
        "atexit": "registered",
        "cycle": "finalised",
        "module": "a module's file",
        "last": "finalised",
    }


def test_memory__most_of_an_engine_is_its_parents(cluster):
    """Imports, counts of references, looking for versions: what is done in each engine is copied
    in each. Measured: 3.4 MiB of its own."""
    one = cluster(2)
    with Client() as rc:
        assert rc[:].apply_sync(int) == [0, 0]
        for engine in (0, 1):
            rollup = Path(f"/proc/{one.engine_pid(engine)}/smaps_rollup").read_text()
            own = int(rollup.split("Private_Dirty:")[1].split()[0]) * 1024
            assert own < 6 * MIB, f"{own / MIB:.1f} MiB"
