"""Configuration as IPython has it: command line, profile, startup files, environment."""

import os
from pathlib import Path

import pytest


@pytest.fixture
def profile(tmp_path, monkeypatch):
    """An IPython folder of this test's own; its default profile."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    folder = tmp_path / "ipython" / "profile_default"
    (folder / "startup").mkdir(parents=True)
    return folder


def test_startup_files_and_configuration(profile, new_kernel):
    (profile / "startup" / "10-first.py").write_text("first = __file__\norder = [10]")
    (profile / "startup" / "20-second.ipy").write_text("order.append(20)\nhere = %pwd")
    (profile / "ipython_config.py").write_text(
        "c.InteractiveShellApp.exec_lines = ['lines = 1']\n"
        "c.InteractiveShell.ast_node_interactivity = 'all'\n"
        "c.InteractiveShell.no_such_trait = 1\n"
        "c.NoSuchClass.x = 1\n"
    )
    (profile / "ipython_kernel_config.py").write_text(
        "c.InteractiveShellApp.exec_lines.append('lines += 1')\n"
    )
    kernel = new_kernel()
    result = kernel.run("order\nlines\nfirst.endswith('10-first.py')\n'__file__' in globals()")
    shown = [o["data"]["text/plain"] for o in result.outputs]
    assert shown == ["[10, 20]", "2", "True", "False"]
    assert kernel.run("%who").stdout.startswith("Interactive namespace is empty")


def test_errors_in_configuration_do_not_stop_the_start(profile, new_kernel):
    (profile / "startup" / "broken.py").write_text("1 / 0")
    (profile / "ipython_config.py").write_text("this is no Python")
    kernel = new_kernel(extra_arguments=["--ext", "no_such_extension", "--no-such-flag"])
    assert kernel.run("1 + 1").value == "2"


def test_command_line(profile, new_kernel):
    kernel = new_kernel(
        extra_arguments=[
            "--ext=autoreload",
            "--InteractiveShellApp.exec_lines=x = 5",
            "--HistoryManager.hist_file=:memory:",
            "--IPCompleter.use_jedi=False",
            "--InteractiveShell.cache_size=10",
            "--IPKernelApp.capture_fd_output=False",
            "-c",
            "y = 6",
        ]
    )
    code = "ip = get_ipython()\nx, y, ip.Completer.use_jedi, str(ip.history_manager.hist_file)"
    assert kernel.run(code).value == "(5, 6, False, ':memory:')"
    loaded = "'IPython.extensions.autoreload' in ip.extension_manager.loaded"
    assert kernel.run(loaded).value == "True"
    silent = kernel.run("import os; os.system('echo to the terminal')")
    assert "to the terminal" not in silent.stdout
    assert kernel.run("ip.parent is ip.kernel.parent").value == "True"


def test_matplotlib_from_the_command_line(profile, new_kernel):
    kernel = new_kernel(extra_arguments=["--matplotlib=inline"])
    assert "inline" in kernel.run("import matplotlib\nmatplotlib.get_backend()").value


def test_other_profile(profile, new_kernel):
    other = profile.parent / "profile_other"
    (other / "startup").mkdir(parents=True)
    (other / "startup" / "a.py").write_text("which = 'other'")
    kernel = new_kernel(extra_arguments=["--profile=other"])
    assert kernel.run("which").value == "'other'"
    again = new_kernel(extra_arguments=[f"--profile-dir={other}"])
    assert again.run("which").value == "'other'"
    assert again.run("get_ipython().profile_dir.location").value == repr(str(other))


def test_environment(profile, new_kernel, tmp_path, monkeypatch):
    startup = tmp_path / "pythonstartup.py"
    startup.write_text("from_startup = True")
    monkeypatch.setenv("PYTHONSTARTUP", str(startup))
    monkeypatch.setenv("JPY_SESSION_NAME", "/a/notebook.ipynb")
    monkeypatch.setenv("IPYKERNEL_CELL_NAME", "<a cell>")
    monkeypatch.setenv("MPLBACKEND", "agg")
    kernel = new_kernel()
    assert kernel.run("from_startup, __session__").value == "(True, '/a/notebook.ipynb')"
    assert kernel.run("import inspect\ninspect.currentframe().f_code.co_filename").value == (
        "'<a cell>'"
    )
    assert kernel.run("import os\nos.environ['MPLBACKEND'], os.environ['PAGER']").value == (
        "('agg', 'cat')"
    )


def test_working_folder(new_kernel, tmp_path):
    (tmp_path / "beside.py").write_text("value = 'found'")
    (tmp_path / "json.py").write_text("raise ImportError('not the standard one')")
    kernel = new_kernel(cwd=str(tmp_path))
    assert kernel.run("import beside, json, os\nbeside.value, os.getcwd()").value == (
        f"('found', '{tmp_path}')"
    )
    assert kernel.run("import sys\nsys.path.index('') > 0").value == "True"


def test_the_interpreter_is_the_environment_s(kernel):
    import sys

    executable = Path(kernel.run("import sys\nsys.executable").value.strip("'"))
    assert (executable.parent, executable.name[:6]) == (Path(sys.executable).parent, "python")
    assert kernel.run("sys.prefix").value.strip("'") == sys.prefix
    assert kernel.run("!{sys.executable} -c 'print(6 * 7)'").stdout == "42\r\n"
    name = kernel.run("import inspect\ninspect.currentframe().f_code.co_filename").value.strip("'")
    assert Path(name).parent.name == f"ipykernel_{kernel.pid}"
    assert kernel.run("__name__, 'ipykernel' in sys.modules").value == "('__main__', True)"


def test_history_file_that_cannot_be_used(profile, new_kernel):
    """Another kind of file, or one without permission: history stays in memory."""
    (profile / "history.sqlite").mkdir()
    kernel = new_kernel()
    kernel.run("kept = 1").ok()
    assert "kept = 1" in kernel.run("%history").stdout
    content = {"hist_access_type": "tail", "n": 5, "raw": True, "output": False}
    client = kernel.client
    asked = client.history(**content)
    while True:
        reply = client.get_shell_msg(timeout=30)
        if reply["parent_header"]["msg_id"] == asked:
            break
    assert reply["content"]["status"] == "ok"


def test_a_process_environment_is_left_alone(kernel):
    assert kernel.run("import os\nos.environ.get('PX_TEST_MARK')").value == repr(
        os.environ["PX_TEST_MARK"]
    )
