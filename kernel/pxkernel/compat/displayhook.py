"""``ipykernel.displayhook``."""

from pxkernel.display import ZMQDisplayHook, ZMQShellDisplayHook

__all__ = ["ZMQDisplayHook", "ZMQShellDisplayHook"]
