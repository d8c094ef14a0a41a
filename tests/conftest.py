"""What every test gets: an environment of its own, apart from everything that is the user's."""

import os
import random
import sysconfig

import pytest

_HOMES = ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")


@pytest.fixture(scope="session", autouse=True)
def own_environment(tmp_path_factory):
    """Folders of Jupyter and IPython, and the programs under test first on the path."""
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("home")
        for name in _HOMES:
            patch.setenv(name, str(home / name.lower()))
        patch.setenv("PATH", f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}")
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        patch.delenv("PX_HOME", raising=False)
        yield


def pytest_collection_modifyitems(items):
    """`make soak` runs the tests in another order each time: PX_TEST_SHUFFLE is the seed."""
    seed = os.environ.get("PX_TEST_SHUFFLE")
    if seed:
        random.Random(seed).shuffle(items)
