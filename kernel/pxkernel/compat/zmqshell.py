"""``ipykernel.zmqshell``."""

from pxkernel.display import ZMQDisplayPublisher
from pxkernel.shell import ZMQInteractiveShell

__all__ = ["ZMQDisplayPublisher", "ZMQInteractiveShell"]


def __getattr__(name: str) -> object:
    if name == "KernelMagics":
        from pxkernel.kernelmagics import KernelMagics

        return KernelMagics
    raise AttributeError(f"module 'ipykernel.zmqshell' has no attribute {name!r}")
