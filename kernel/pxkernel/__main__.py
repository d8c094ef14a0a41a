"""``python -m pxkernel``: the kernel inside a Python that runs already.

What the executable ``pxkernel`` falls back to where libpython is no shared library. The arguments
are the executable's own.
"""

import os
import sys


def main() -> None:
    """Run until the end; never returns."""
    # `-m` put the working folder first: user code gets its own place for it later.
    if sys.path and sys.path[0] in ("", os.getcwd()) and not sys.flags.safe_path:
        del sys.path[0]
    from pxkernel import _kernel

    _kernel.main(sys.argv)


if __name__ == "__main__":
    main()
