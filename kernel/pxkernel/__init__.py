"""pxkernel: a Jupyter kernel in C. This package is its language layer, IPython's shell in Python.

The executable ``pxkernel`` owns the process: sockets, order of messages, interrupts and output
capture are C (``pxkernel._kernel``). It starts Python and calls ``pxkernel.boot.run``; everything
in this package runs in Python's main thread unless it says otherwise.
"""

__version__ = "0.1.0"
