"""``ipykernel.comm``."""

from pxkernel.compat.comm_comm import Comm
from pxkernel.compat.comm_manager import CommManager

__all__ = ["Comm", "CommManager"]

# As `import ipykernel.comm.manager` wants it; the finder knows where these are.
__path__: list[str] = []
