"""Functions and classes of a plain script, run by a plain Python, work on the engines."""

import subprocess
import sys

SCRIPT = """
import collections
import pxparallel as px
import besides

class Pair(collections.namedtuple("Pair", "a b")):
    def total(self):
        return double(self.a) + self.b

def double(x):
    return 2 * x

def work(x):
    return Pair(double(x), besides.triple(x))

if __name__ == "__main__":
    with px.Client() as rc:
        view = rc[:]
        view.block = True
        pairs = view.map(work, range(3))
        print(pairs[2].total(), type(pairs[0]) is Pair)
        print(view.apply(lambda: besides.triple(5)))
        view["x"] = 4
        print(view["x"])
"""


def test_definitions__of_a_script(cluster, tmp_path):
    cluster(2)
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "besides.py").write_text("def triple(x):\n    return 3 * x\n")
    done = subprocess.run(
        [sys.executable, str(tmp_path / "script.py")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout == "14 True\n[15, 15]\n[4, 4]\n"
