"""The short ways that a cell takes give what IPython gives without them."""

import contextlib
import sqlite3
import textwrap
from pathlib import Path

from support import wait_for


def dedent(code):
    return textwrap.dedent(code).strip()


def test_cells_are_transformed_as_by_ipython(kernel):
    code = r"""
        import glob, os, sysconfig
        from IPython.core.inputtransformer2 import TransformerManager
        quick = get_ipython().input_transformer_manager
        slow = TransformerManager()
        cells = [
            "", " ", "\n", "1", "1\n", "\n\n1\n", "  1\n  2", " 1\n2", "x = 1;", "x = 1; # why?",
            "# x?",
            "%time 1", "%%time\n1", "!ls", "x = !ls", "x = %pwd", "x?", "?x", "x??", ",f a",
            ";f a", "/f a",
            "(1\n, 2)", "(1\n/ 2)", "a = 5 % 3", "'%time'", "'''\n%time\n!ls\nx?\n'''",
            "f'{1=!r}?'",
            "if 1:\n    !ls", "if 1:\n    1\n   \n    2", "'''a\n   \nb'''", "if 1:\n  1\n 2",
            "if 1:\n1",
            ">>> 1", ">>> 1\n... 2", "'''\n>>> 1\n'''", "In [1]: 1", "In [1]: int",
            "1\n   ...: 2", "...\n...",
            "def f():\n    ...", "def f(", "'unfinished", "1 +", "x = 'a\\n\\d'", "x = 'a\\n'",
            "r'\\d'",
            "1\r\n2\r\n", "1\n\f\n2", "if 1:\n\t1\n        2", "a = 1 \\\n  + 2", "1\n\0",
            "\ufeff1", "é = '\u2028'",
            "await x", "async def f(): await x", "print 1", "x = 1,", "'\ud800'", "0x1for x in y",
            "\\", "?",
        ]
        for path in sorted(glob.glob(os.path.join(sysconfig.get_path("stdlib"), "*.py")))[:30]:
            with open(path) as file:
                cells += file.read().split("\n\n\n")[:20]
        def made(manager, cell):
            try:
                return manager.transform_cell(cell)
            except Exception as error:
                return type(error), str(error)
        differ = [cell for cell in cells if made(quick, cell) != made(slow, cell)]
        compiler = get_ipython().compile
        quickly = sum(bool(made(quick, cell) and compiler._parsed) for cell in cells)
        differ, quickly > len(cells) // 2
        """
    assert kernel.run(dedent(code)).value == "([], True)"


def test_transformers_of_the_users_own_are_asked(kernel):
    code = """
        manager = get_ipython().input_transformer_manager
        def shout(lines):
            return [line.replace("quiet", "LOUD") for line in lines]
        manager.line_transforms.append(shout)
        """
    kernel.run(dedent(code)).ok()
    assert kernel.run("'quiet'").value == "'LOUD'"
    kernel.run("manager.line_transforms.pop()").ok()
    assert kernel.run("'quiet'").value == "'quiet'"
    code = """
        import ast
        class Double(ast.NodeTransformer):
            def visit_Constant(self, node):
                return ast.copy_location(ast.Constant(node.value * 2), node)
        get_ipython().ast_transformers.append(Double())
        """
    kernel.run(dedent(code)).ok()
    assert [kernel.run("21").value for _ in range(2)] == ["42", "42"]


def test_lines_are_filtered_as_by_ipython(kernel):
    code = r"""
        from IPython.core.prefilter import PrefilterChecker, PrefilterManager
        shell = get_ipython()
        get_ipython().run_line_magic("macro", "-q repeat 1")
        def f(*arguments):
            return arguments
        lines = [
            "pass", "1+1", "x", "ls = 3", "ls", "pwd", "cd ..", "time f()", "timeit.x", "f", "f 1",
            "f(1)", "f (1)", "f, 1", "f*2", "print", "exit", "quit", "exit()", "repeat", "repeat 2",
            "repeat = 1", "é", "_ih", "None", "%time f()", "!ls", ",f a", ";f a", "/f a", "  pwd",
            "", " ", "1 # PYTHON-MODE", "f # PYTHON-MODE", "matplotlib", "matplotlib inline",
            "store", "px 1", "alias", "a.b*", "psearch a*", "'pwd'", "(pwd)", "pwd;", "pwd?",
        ]
        def made(manager, line):
            try:
                return manager.prefilter_lines(line), shell._last_input_line
            except Exception as error:
                return type(error), str(error)
        def differ():
            slow = PrefilterManager(shell=shell)
            if custom:
                Shouts(shell=shell, prefilter_manager=slow)
            quick = shell.prefilter_manager
            return [line for line in lines if made(quick, line) != made(slow, line)]
        class Shouts(PrefilterChecker):
            def check(self, info):
                if "1" in info.line:
                    return self.prefilter_manager.get_handler_by_name("auto")
        custom, found = False, []
        for autocall in 0, 1, 2:
            shell.autocall = autocall
            for automagic in True, False:
                shell.automagic = automagic
                found += [(autocall, automagic, line) for line in differ()]
        shell.autocall, shell.automagic = 0, True
        ls = "mine"  # a name of the user's own hides the magic
        found += differ()
        del ls
        custom = True
        mine = Shouts(shell=shell, prefilter_manager=shell.prefilter_manager)
        asked = made(shell.prefilter_manager, "f 1")[0]
        found += differ()
        shell.prefilter_manager.unregister_checker(mine)
        found, asked, shell.prefilter_manager._is_plain("pass"), "repeat" in shell.user_ns
        """
    assert kernel.run(dedent(code)).value == "([], 'f(1)', True, True)"


def test_the_words_of_a_cell_say_whether_it_may_await(kernel):
    code = r"""
        from IPython.core.async_helpers import _should_be_async
        shell = get_ipython()
        cells = ["1", "await x", "async with a: pass", "[x async for x in y]", "async def f(): 1",
                 "def f():\n    return 1", "'await'", "awaited = 1", "1 +", "lambda: (await x)"]
        [c for c in cells
         if bool(_should_be_async(c)) != shell.should_run_async(c, transformed_cell=c)]
        """
    assert kernel.run(dedent(code)).value == "[]"


def test_flags_of_earlier_cells_hold_for_the_parser(kernel):
    assert kernel.run("print 1").ename == "SyntaxError"
    kernel.run("from __future__ import barry_as_FLUFL").ok()
    assert kernel.run("1 <> 2").value == "True"
    assert kernel.run("1 != 2").ename == "SyntaxError"


def test_the_file_of_a_cell_is_named_by_its_code(kernel):
    for size in range(9):
        code = f"__import__('sys')._getframe().f_code.co_filename # é{'x' * size}"
        name = kernel.run(code).value.strip("'")
        assert Path(name).name == f"{_murmur2(code.encode())}.py"


def _murmur2(data, seed=0xC70F6907, m=0x5BD1E995, mask=0xFFFFFFFF):
    """As JupyterLab and debugpy's users compute it."""
    h = seed ^ len(data)
    while len(data) >= 4:
        k = int.from_bytes(data[:4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = (h * m & mask) ^ k
        data = data[4:]
    if data:
        h = (h ^ int.from_bytes(data, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


def test_busy_is_said_before_a_foreign_handler_runs(kernel, tmp_path):
    """It waits for execute_input only where that comes next."""
    code = f"""
        import pathlib, time
        handlers = get_ipython().kernel.shell_handlers
        def foreign(stream, ident, message):
            handlers["execute_request"] = served
            while not pathlib.Path({str(tmp_path / "go")!r}).exists():
                time.sleep(0.01)
        served, handlers["execute_request"] = handlers["execute_request"], foreign
        """
    kernel.run(dedent(code)).ok()
    message = kernel.send("'never'")
    assert next_of(kernel, message) == {"execution_state": "busy"}
    (tmp_path / "go").touch()
    assert kernel.collect(message).status == "error"
    assert kernel.run("'ran'").value == "'ran'"


def next_of(kernel, message):
    """What is published next for a request."""
    while True:
        shown = kernel.client.get_iopub_msg(timeout=60)
        if shown["parent_header"].get("msg_id") == message:
            return shown["content"]


def test_a_silent_cell_says_busy_when_it_begins(kernel):
    message = kernel.send("import time\ntime.sleep(60)", silent=True)
    assert next_of(kernel, message) == {"execution_state": "busy"}
    kernel.client.control_channel.send(kernel.client.session.msg("interrupt_request", {}))
    assert kernel.collect(message).status == "error"


def test_no_cell_waits_for_the_history_to_be_written(kernel):
    kernel.run("1").ok()
    file = Path(kernel.run("print(get_ipython().history_manager.hist_file)").stdout.strip())
    kernel.run("manager = get_ipython().history_manager\nmanager.writeout_cache()").ok()
    with contextlib.closing(sqlite3.connect(file)) as other:
        other.execute("BEGIN EXCLUSIVE")  # the writer waits for us
        kernel.run("'held'").ok()
        wait_for(
            lambda: kernel.run("len(manager.db_input_cache) < 2").value == "True", "it has them"
        )
        kernel.run("'meanwhile'").ok()
        other.rollback()
    assert kernel.run("manager.writeout_cache()\n'end'").value == "'end'"
    with contextlib.closing(sqlite3.connect(file)) as other:
        lines = [
            row[0] for row in other.execute("SELECT source FROM history ORDER BY session, line")
        ]
    assert [line for line in lines if line in ("'held'", "'meanwhile'")] == [
        "'held'",
        "'meanwhile'",
    ]
