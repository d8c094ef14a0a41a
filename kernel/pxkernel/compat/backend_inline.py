"""``ipykernel.pylab.backend_inline`` and ``.config``: moved to matplotlib_inline long ago."""

from matplotlib_inline.backend_inline import *  # noqa: F403
from matplotlib_inline.config import InlineBackend

__all__ = ["InlineBackend"]
