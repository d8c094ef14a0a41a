"""The debugger: debug_request and debug_event, by way of debugpy.

``dap`` speaks the Debug Adapter Protocol with debugpy's adapter over a socket, ``variables`` shows
the namespace between cells, ``server`` answers front ends. All of it, debugpy too, is imported at
the first debug_request and runs on the kernel's side thread, because the main thread is what stops
at a breakpoint.
"""

from pxkernel.debugger.server import Debugger

__all__ = ["Debugger"]
