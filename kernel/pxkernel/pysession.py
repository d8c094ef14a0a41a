"""The jupyter_client Session that libraries expect at ``kernel.session``.

Importing jupyter_client costs more than the rest of the start, so it happens when somebody asks.
The Session shares key and session id with the C half: what it sends is signed and counted alike.
"""

from __future__ import annotations

import os
from typing import Any

from pxkernel import _kernel


def make_session(kernel: Any) -> Any:
    """A Session like the C half's."""
    from jupyter_client.session import Session

    info = _kernel.connection_info
    return Session(
        config=kernel.config,
        session=_kernel.session_id,
        username=os.environ.get("USER", "username"),
        key=str(info.get("key", "")).encode(),
        signature_scheme=info.get("signature_scheme") or "hmac-sha256",
    )
