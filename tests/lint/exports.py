"""What built C modules and executables show to the dynamic linker: one entry each, so that nothing
of ours can clash with another library in the same process, nor theirs be used by mistake.
"""

import re
import subprocess
import sys
from pathlib import Path

from tree import Finding

# By the start of a file's name: the symbols it must define and is allowed to define.
EXPECTED = {
    "_kernel.": {"PyInit__kernel", "px_kernel_main"},
    "_client.": {"PyInit__client"},
}
# Libraries that the executable that becomes Python may need: the C library, nothing else.
LAUNCHERS = ("pxkernel", "pxengine")
LAUNCHER_NEEDS = re.compile(r"^(libc|libdl|libpthread|libm|ld-linux[\w-]*)\.so")


def exported(path: Path) -> set[str]:
    """Symbols that a shared object or executable defines for others."""
    out = subprocess.run(
        ["nm", "-D", "--defined-only", "--format=posix", str(path)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    names = {line.split()[0].split("@")[0] for line in out.splitlines() if line}
    return names - {"_init", "_fini", "_edata", "_end", "__bss_start"}


def needed(path: Path) -> list[str]:
    """Shared libraries that a file asks the loader for."""
    out = subprocess.run(
        ["readelf", "-d", str(path)], capture_output=True, text=True, check=True
    ).stdout
    return re.findall(r"\(NEEDED\).*\[(.+?)\]", out)


def check(files: list[Path]) -> list[Finding]:
    """What the given built files show or need and should not."""
    findings = []
    for path in files:
        for start, expected in EXPECTED.items():
            if path.name.startswith(start):
                names = exported(path)
                for name in sorted(names - expected):
                    findings.append(Finding(str(path), 0, f"exports {name}: hide it"))
                for name in sorted(expected - names):
                    findings.append(Finding(str(path), 0, f"does not export {name}"))
        libraries = needed(path)
        for library in libraries:
            if library.startswith("libpython"):
                findings.append(Finding(str(path), 0, f"is linked with {library}"))
            elif path.name in LAUNCHERS and not LAUNCHER_NEEDS.match(library):
                text = f"needs {library}; the launcher needs the C library only"
                findings.append(Finding(str(path), 0, text))
    return findings


if __name__ == "__main__":
    problems = check([Path(name) for name in sys.argv[1:]])
    print(*problems, sep="\n", end="\n" if problems else "")
    sys.exit(1 if problems else 0)
