"""``ipykernel.debugger``."""

from pxkernel.debugger import Debugger
from pxkernel.info import has_debugpy

_is_debugpy_available = has_debugpy()

__all__ = ["Debugger"]
