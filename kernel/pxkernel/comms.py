"""Comms: objects that live in the kernel and in the front end and send each other messages.

The ``comm`` package holds the protocol; here is how its messages leave, and the factories it asks
for (``compat.finder`` puts them in when the package is imported). ipykernel's Comm takes traits
too, so that old libraries can inherit from it; that class is in ``pxkernel.compat.comm_comm``.
"""

from __future__ import annotations

import logging
from typing import Any

import comm.base_comm

from pxkernel import _kernel

logger = logging.getLogger("ipykernel.comm")
_manager: CommManager | None = None


class BaseComm(comm.base_comm.BaseComm):
    """A comm whose messages are published by this kernel."""

    @property
    def kernel(self) -> Any:
        """The kernel of this process."""
        from pxkernel.kernel import Kernel

        return Kernel._instance

    def publish_msg(
        self,
        msg_type: str,
        data: Any = None,
        metadata: Any = None,
        buffers: Any = None,
        **keys: Any,
    ) -> None:
        """Send comm_open, comm_msg or comm_close; buffers travel raw."""
        content = {"data": {} if data is None else data, "comm_id": self.comm_id, **keys}
        _kernel.publish(
            msg_type,
            content,
            metadata or None,
            buffers=buffers or (),
            topic=self.topic,
        )

    def handle_msg(self, msg: Any) -> None:
        """Call the callback, between the events that libraries show their figures by.

        Beside a cell that runs in the main thread there are none: what is being drawn there would
        be taken for finished, and shown here.
        """
        callback = self._msg_callback
        if callback is None:
            return
        shell = self.kernel.shell
        if _kernel.subshell_id() is not None and _kernel.main_busy():
            callback(msg)
            return
        trigger = shell.events.trigger
        trigger("pre_execute")
        callback(msg)
        trigger("post_execute")


class CommManager(comm.base_comm.CommManager):
    """All comms and targets of the kernel."""

    @property
    def kernel(self) -> Any:
        """The kernel of this process."""
        from pxkernel.kernel import Kernel

        return Kernel._instance


def create_comm(*args: Any, **kwargs: Any) -> BaseComm:
    """What ``comm.create_comm`` makes in this kernel."""
    return BaseComm(*args, **kwargs)


def manager() -> CommManager:
    """What ``comm.get_comm_manager`` returns in this kernel."""
    global _manager
    if _manager is None:
        _manager = CommManager()
    return _manager


def info(target_name: str | None) -> dict[str, Any]:
    """Content of comm_info_reply."""
    found = {
        comm_id: {"target_name": one.target_name}
        for comm_id, one in manager().comms.items()
        if target_name in (None, one.target_name)
    }
    return {"comms": found, "status": "ok"}
