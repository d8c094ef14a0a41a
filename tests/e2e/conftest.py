"""Every end-to-end test is watched, also one that asks for no fixture."""

import pytest


@pytest.fixture(autouse=True)
def watched(watch):
    """Nothing that the test starts may survive it."""
