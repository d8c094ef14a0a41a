"""``ipykernel.kernelapp``."""

from pxkernel.app import IPKernelApp, launch_new_instance

__all__ = ["IPKernelApp", "launch_new_instance"]
