"""``ipykernel.kernelbase``."""

from IPython.core.error import StdinNotImplementedError

from pxkernel.kernel import Kernel

__all__ = ["Kernel", "StdinNotImplementedError"]
