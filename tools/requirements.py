"""Print requirements of pyproject.toml for pip: `base` is what the project needs to run, every
other word one of its optional dependencies.

    tools/requirements.py base lab
"""

import sys
import tomllib
from pathlib import Path


def main(groups: list[str]) -> None:
    top = Path(__file__).resolve().parent.parent
    project = tomllib.loads((top / "pyproject.toml").read_text())["project"]
    known = {"base": project["dependencies"], **project["optional-dependencies"]}
    for group in groups:
        if group not in known:
            sys.exit(f"requirements.py: no group '{group}' (there are {', '.join(known)})")
        print("\n".join(known[group]))


if __name__ == "__main__":
    main(sys.argv[1:])
