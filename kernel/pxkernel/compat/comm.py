"""``ipykernel.comm``."""

from pxkernel.compat.comm_comm import Comm
from pxkernel.compat.comm_manager import CommManager

__all__ = ["Comm", "CommManager"]
