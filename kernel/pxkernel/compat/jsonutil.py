"""``ipykernel.jsonutil``."""

from __future__ import annotations

from typing import Any

from pxkernel.jsonpack import clean as json_clean

__all__ = ["encode_images", "json_clean"]


def encode_images(format_dict: dict[str, Any]) -> dict[str, Any]:
    """The bundle as it is: bytes become base64 when the message is written."""
    return format_dict
