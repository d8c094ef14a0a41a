"""The tree keeps its rules, and each rule catches who breaks it."""

import subprocess
import sysconfig
from pathlib import Path

import banned
import exports
import layers
import links
import pytest
import size
from tree import TOP, Finding


def plant(top: Path, path: str, text: str) -> None:
    """Write one file of a small tree."""
    file = top / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def told(findings: list[Finding], *words: str) -> bool:
    """True if exactly one finding was made and it says all the words."""
    return len(findings) == 1 and all(word in str(findings[0]) for word in words)


@pytest.mark.parametrize("rule", [layers, banned, size, links], ids=lambda rule: rule.__name__)
def test_tree_keeps_the_rule(rule):
    findings = rule.check(TOP)
    assert not findings, "\n" + "\n".join(map(str, findings))


def installed() -> list[Path]:
    """The executables and C modules of the environment that runs this test."""
    scripts = Path(sysconfig.get_path("scripts"))
    site = Path(sysconfig.get_path("platlib"))
    names = ("pxkernel", "pxengine", "pxcontroller", "pxcluster")
    return [scripts / name for name in names] + [
        *site.glob("pxkernel/_kernel.*.so"),
        *site.glob("pxparallel/_client.*.so"),
    ]


def test_exports__built_files_show_their_entry_only():
    files = installed()
    assert len(files) == 6, files
    for file in files:
        assert file.read_bytes()[:4] == b"\x7fELF", f"{file} is not an executable of ours"
    findings = exports.check(files)
    assert not findings, "\n" + "\n".join(map(str, findings))


# --- layers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "text", "words"),
    [
        ("kernel/io/io.c", "#include <Python.h>\n", ["io.c:1", "Python.h"]),
        ("kernel/py/pump.c", "/* a */\n#include <zmq.h>\n", ["pump.c:2", "zmq.h"]),
        ("engines/controller/hub.c", "#include <jansson.h>\n", ["jansson.h"]),
        ("engines/controller/relay.c", "#include <openssl/evp.h>\n", ["openssl"]),
        ("engines/controller/relay.c", "  #  include <sqlite3.h>\n", ["sqlite3"]),
        ("engines/controller/roster.c", "#include <time.h>\n", ["PURE", "time.h"]),
        ("protocol/include/px/frames.h", "#include <zmq.h>\n", ["public header"]),
        ("kernel/main.c", '#include "stdio.h"\n', ["no file of ours"]),
    ],
)
def test_layers__catches_a_header(tmp_path, path, text, words):
    plant(tmp_path, path, text)
    assert told(layers.check(tmp_path), *words)


def test_layers__catches_one_part_that_looks_into_another(tmp_path):
    plant(tmp_path, "kernel/kernel.h", "")
    plant(tmp_path, "engines/controller/hub.c", '#include "../../kernel/kernel.h"\n')
    assert told(layers.check(tmp_path), "engines knows only protocol/include")


def test_layers__catches_the_private_half_of_protocol(tmp_path):
    plant(tmp_path, "protocol/wire/inner.h", "")
    plant(tmp_path, "kernel/io/io.c", '#include "../../protocol/wire/inner.h"\n')
    assert told(layers.check(tmp_path), "kernel knows only protocol/include")


def test_layers__catches_sockets_meeting_python(tmp_path):
    plant(tmp_path, "kernel/py/pump.h", "")
    plant(tmp_path, "kernel/io/io.c", '#include "py/pump.h"\n')
    assert told(layers.check(tmp_path), "kernel/io includes nothing from kernel/py")


@pytest.mark.parametrize(
    ("path", "text", "words"),
    [
        ("kernel/pxkernel/boot.py", "def f():\n    import pxparallel\n", ["boot.py:2"]),
        ("kernel/pxkernel/comms.py", "from ipykernel.comm import Comm\n", ["ipykernel"]),
        ("magics/pxparallel/view.py", "from pxkernel import shell\n", ["pxkernel"]),
        ("magics/pxparallel/server/app.py", "from ..client import Client\n", ["client"]),
        ("magics/pxparallel/server/app.py", "from pxparallel import _client\n", ["_client"]),
    ],
)
def test_layers__catches_an_import(tmp_path, path, text, words):
    plant(tmp_path, path, text)
    assert told(layers.check(tmp_path), *words)


def test_layers__lets_what_is_allowed_pass(tmp_path):
    plant(tmp_path, "protocol/include/px/err.h", "#include <stdint.h>\n")
    plant(tmp_path, "kernel/kernel.h", "")
    plant(
        tmp_path, "kernel/io/io.c", '#include "io.h"\n\n#include "kernel.h"\n#include "px/err.h"\n'
    )
    plant(tmp_path, "kernel/io/io.h", "")
    plant(tmp_path, "kernel/py/module.c", "#include <Python.h>\n")
    plant(tmp_path, "engines/controller/roster.c", "#include <string.h>\n")
    plant(tmp_path, "magics/pxparallel/server/app.py", "import tornado.web\n")
    assert layers.check(tmp_path) == []


# --- banned --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(banned.BANNED))
def test_banned__catches_each_function(tmp_path, name):
    plant(tmp_path, "kernel/a.c", f"void f(char *a)\n{{\n    {name}(a);\n}}\n")
    assert told(banned.check(tmp_path), "a.c:3", f"{name}()")


def test_banned__catches_exit_in_a_library_but_not_in_main(tmp_path):
    plant(tmp_path, "protocol/base/err.c", "void f(void) { exit(1); }\n")
    plant(tmp_path, "kernel/main.c", "void g(void) { exit(1); }\n")
    assert told(banned.check(tmp_path), "err.c:1", "exit()")


def test_banned__catches_a_mark_and_a_python_sleep(tmp_path):
    plant(tmp_path, "kernel/a.c", "// TO" + "DO later\n")
    assert told(banned.check(tmp_path), "a.c:1", "issue")
    (tmp_path / "kernel/a.c").unlink()
    plant(tmp_path, "magics/pxparallel/a.py", "time.sleep(1)\n")
    assert told(banned.check(tmp_path), "a.py:1", "sleep")


def test_banned__does_not_mind_comments_strings_and_longer_names(tmp_path):
    text = '// never call system()\nchar *s = "sprintf(";\nint n = my_rand(1), m = a.sleep(2);\n'
    plant(tmp_path, "kernel/a.c", text)
    assert banned.check(tmp_path) == []


# --- size ----------------------------------------------------------------------------------------


def test_size__catches_a_long_file(tmp_path):
    plant(tmp_path, "kernel/a.py", "x = 1\n" * 801)
    assert told(size.check(tmp_path), "801 lines")


def test_size__catches_a_long_line(tmp_path):
    plant(tmp_path, "kernel/a.h", "// " + "a" * 98 + "\n")
    assert told(size.check(tmp_path), "a.h:1", "101 columns")


def test_size__catches_a_long_function(tmp_path):
    plant(tmp_path, "kernel/a.c", "static int f(void)\n{\n" + "    g();\n" * 78 + "}\n")
    assert told(size.check(tmp_path), "a.c:1", "f() has 81 lines")


def test_size__catches_too_many_parameters(tmp_path):
    text = "int f(int a, int b, int c, int (*d)(int, int), int e, int g, int h)\n{\n}\n"
    plant(tmp_path, "kernel/a.c", text)
    assert told(size.check(tmp_path), "f() has 7 parameters")


def test_size__catches_complexity(tmp_path):
    plant(tmp_path, "kernel/a.c", "int f(int a)\n{\n" + "    if (a && b) g();\n" * 10 + "}\n")
    assert told(size.check(tmp_path), "complexity of 21")


def test_size__reads_functions_as_they_are_written_here():
    text = """
struct a { int b; };
static const int table[] = {1, 2};
#define MACRO(x) \\
    if (x) { y; }
START_TEST(test_a__holds)
{
    switch (a) { case 1: case 2: break; }
}
int
px_f(void (*done)(int status), const char *s /* ) { */)
{
    struct a b = {.b = {1}}, *c = &(struct a){2};
    if (x) { LL_FOREACH(a, b) { do { x++; } while (f((int[]){1})); } }
    return ')' == '{';
}
"""
    found = [tuple(function) for function in size.functions(text)]
    assert found == [("START_TEST", 6, 4, 1, 2, 1), ("px_f", 10, 7, 2, 3, 3)]


def test_size__catches_deep_nesting(tmp_path):
    text = "int f(int a)\n{\n" + "if (a) {\n" * 5 + "}\n" * 5 + "}\n"
    plant(tmp_path, "kernel/a.c", text)
    assert told(size.check(tmp_path), "f() has blocks nested 5 deep")


# --- links ---------------------------------------------------------------------------------------


def test_links__catches_what_leads_nowhere(tmp_path):
    text = "# One page\n[a](b.md) [x](#one-page) [c](https://d.e/f)\n`[no](link)`\n"
    plant(tmp_path, "docs/a.md", text)
    assert told(links.check(tmp_path), "a.md:2", "b.md")
    plant(tmp_path, "docs/b.md", "[back](a.md#two)\n[back](a.md#one-page)\n")
    assert told(links.check(tmp_path), "b.md:1", "no heading 'two'")


# --- exports -------------------------------------------------------------------------------------


def test_exports__catches_a_symbol_too_many_and_one_too_few(tmp_path):
    plant(
        tmp_path, "a.c", "int PyInit__kernel(void) { return 1; }\nint leaked(void) { return 2; }\n"
    )
    module = tmp_path / "_kernel.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", module, tmp_path / "a.c"], check=True)
    texts = [finding.text for finding in exports.check([module])]
    assert texts == ["exports leaked: hide it", "does not export px_kernel_main"]


def test_exports__catches_a_launcher_that_needs_more_than_libc(tmp_path):
    plant(tmp_path, "a.c", "int zmq_errno(void);\nint main(void) { return zmq_errno(); }\n")
    program = tmp_path / "pxkernel"
    subprocess.run(["gcc", "-o", program, tmp_path / "a.c", "-lzmq"], check=True)
    assert told(exports.check([program]), "libzmq", "C library only")
