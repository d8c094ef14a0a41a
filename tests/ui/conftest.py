"""Fixtures of the browser tests: a running JupyterLab, tied to the test by its watch."""

import shutil

import pytest
from ui.lab import CHROMIUM, HERE, Lab


def pytest_collection_modifyitems(items):
    """Without a browser these tests say so instead of failing one by one."""
    missing = []
    if not CHROMIUM:
        missing.append("Chromium (apt install chromium, or PX_CHROMIUM=its path)")
    if not shutil.which("node"):
        missing.append("node")
    if not (HERE / "node_modules" / "playwright-core").is_dir():
        missing.append("playwright-core (npm ci in tests/ui)")
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.ui)
            if missing:
                item.add_marker(pytest.mark.skip(reason=f"needs {', '.join(missing)}"))


@pytest.fixture
def new_lab(watch, tmp_path):
    """A function that starts a JupyterLab; each is ended after the test."""
    labs = []

    def start(*arguments: str, **options) -> Lab:
        labs.append(Lab(tmp_path / f"lab{len(labs)}", *arguments, **options))
        return labs[-1]

    yield start
    for lab in labs:
        lab.close()


@pytest.fixture
def lab(new_lab):
    """A running JupyterLab with the Cluster tab."""
    return new_lab()
