"""``ipykernel.ipkernel``."""

from pxkernel.comms import CommManager, create_comm, manager
from pxkernel.kernel import IPythonKernel, Kernel
from pxkernel.shell import ZMQInteractiveShell

__all__ = [
    "CommManager",
    "IPythonKernel",
    "Kernel",
    "ZMQInteractiveShell",
    "create_comm",
    "manager",
]
