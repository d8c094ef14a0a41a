"""``ipykernel.comm.comm``: the comm with traits, for libraries that inherit from it."""

from __future__ import annotations

import uuid
import warnings
from typing import Any

import traitlets.config
from traitlets import Bool, Bytes, Unicode, default

from pxkernel.comms import BaseComm

__all__ = ["BaseComm", "Comm"]


class Comm(BaseComm, traitlets.config.LoggingConfigurable):
    """``from ipykernel.comm import Comm``: as old libraries make their comms."""

    comm_id = Unicode()
    primary = Bool(True, help="Whether this side opened the comm.")
    target_name = Unicode("comm")
    target_module = Unicode(None, allow_none=True)
    topic = Bytes()

    @default("comm_id")
    def _default_comm_id(self) -> str:
        return uuid.uuid4().hex

    def __init__(
        self,
        target_name: str = "",
        data: Any = None,
        metadata: Any = None,
        buffers: Any = None,
        show_warning: bool = True,
        **kwargs: Any,
    ) -> None:
        if show_warning:
            warnings.warn(
                "ipykernel.comm.Comm is deprecated: use comm.create_comm",
                DeprecationWarning,
                stacklevel=2,
            )
        kwargs.pop("kernel", None)
        if target_name:
            kwargs["target_name"] = target_name
        BaseComm.__init__(self, data=data, metadata=metadata, buffers=buffers, **kwargs)
        own = {name: value for name, value in kwargs.items() if self.has_trait(name)}
        traitlets.config.LoggingConfigurable.__init__(self, **own)
