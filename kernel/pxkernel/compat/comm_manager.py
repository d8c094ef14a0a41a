"""``ipykernel.comm.manager``."""

from pxkernel.comms import CommManager

__all__ = ["CommManager"]
