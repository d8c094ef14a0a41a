"""More output than a page can hold: the beginning and the end are shown, all of it is in a file."""

import os
import re
import stat
import textwrap
from pathlib import Path

import pytest
from support import peak, wait_for


@pytest.fixture
def here(new_kernel, tmp_path):
    """A kernel whose files of output lie in tmp_path."""
    return new_kernel(cwd=str(tmp_path))


def notes(result):
    """The metadata of the notes that say where output is, as last shown."""
    found = {}
    for message in result.messages:
        about = message["content"].get("metadata", {}).get("pxkernel_output")
        if about:
            identity = message["content"]["transient"]["display_id"]
            found[identity] = {**about, "data": message["content"]["data"]}
    return list(found.values())


def the_note(result):
    [note] = notes(result)
    assert note["complete"]
    return note


def streams(result):
    return [o for o in result.outputs if o["output_type"] == "stream"]


def test_a_flood_of_lines_is_bounded_and_whole_in_the_file(here, tmp_path):
    result = here.run("for i in range(1_000_000):\n    print(i)", timeout=300).ok()
    note = the_note(result)
    whole = "".join(f"{i}\n" for i in range(1_000_000))
    assert Path(note["file"]).read_text() == whole
    kinds = [o["output_type"] for o in result.outputs]
    at = kinds.index("display_data")
    head = "".join(o["text"] for o in result.outputs[:at])
    tail = result.outputs[-1]["text"]
    assert whole.startswith(head) and head.endswith("\n") and len(head) >= 1_000_000
    assert whole.endswith(tail) and whole[-len(tail) - 1] == "\n" and len(tail) > 100_000
    assert len(result.stdout) < 10_000_000
    file = Path(note["file"])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert file.parent == tmp_path / "pxkernel-output"
    [link] = re.findall('href="([^"]*)"', note["data"]["text/html"])
    assert tmp_path / link == file
    assert here.run("print('next')").ok().stdout == "next\n"


def test_a_childs_flood_is_bounded_and_whole_in_the_file(here):
    code = "import subprocess\nsubprocess.run('yes | head -n 5000000', shell=True).returncode"
    result = here.run(code, timeout=300).ok()
    assert result.value == "0"
    assert Path(the_note(result)["file"]).read_bytes() == b"y\n" * 5_000_000
    assert len(result.stdout) < 9_000_000
    assert result.stdout.replace("y\n", "") == ""


def test_a_c_call_that_holds_the_gil_may_flood(here):
    here.run("import ctypes\nlibc = ctypes.PyDLL(None)").ok()
    result = here.run("libc.printf(b'1' * 30_000_000)\nlibc.fflush(None)", timeout=300).ok()
    assert Path(the_note(result)["file"]).stat().st_size == 30_000_000


def test_one_long_print(here):
    result = here.run("print('é' * 3_000_000)").ok()
    assert Path(the_note(result)["file"]).read_text() == "é" * 3_000_000 + "\n"
    assert set(result.stdout) == {"é", "\n"}
    assert len(result.messages) < 20


def test_a_little_too_much_is_shown_whole_without_a_note(here, tmp_path):
    text = "".join(f"{i}\n" for i in range(170_000))  # between the burst and the burst and the tail
    assert 1 << 20 < len(text) < (1 << 20) + (100 << 10)
    result = here.run("print(''.join(f'{i}\\n' for i in range(170_000)), end='')").ok()
    assert result.stdout == text
    assert notes(result) == []
    assert not (tmp_path / "pxkernel-output").exists()


def test_both_streams_are_in_the_file_in_order(here):
    code = """
        import sys
        for i in range(2000):
            print("o" * 500, i)
            print("e" * 500, i, file=sys.stderr)
        """
    result = here.run(textwrap.dedent(code)).ok()
    lines = Path(the_note(result)["file"]).read_text().splitlines()
    assert sorted(lines) == sorted(f"{c * 500} {i}" for c in "oe" for i in range(2000))
    for c in "oe":
        assert [int(x.split()[1]) for x in lines if x[0] == c] == list(range(2000))


def test_values_that_are_too_long_are_shortened(here):
    result = here.run("'x' * 20_000_000").ok()
    assert len(result.value) < 1_000_000
    assert result.value.startswith("'xxx") and result.value.endswith("xxx'")
    note = the_note(result)
    assert Path(note["file"]).read_text() == repr("x" * 20_000_000)
    assert note["file"].endswith(note["data"]["text/plain"].split(" in ")[1].split(" ")[0])
    assert here.run("len(_)").value == "20000000"
    assert here.run("len(str(get_ipython().history_manager.outputs)) < 2_000_000").value == "True"
    shown = here.run("display('y' * 20_000_000)").ok()
    assert len(shown.outputs[0]["data"]["text/plain"]) < 1_000_000
    assert Path(the_note(shown)["file"]).stat().st_size == 20_000_002


def test_html_is_never_shortened(here):
    result = here.run("from IPython.display import HTML\nHTML('<p>' + 'x' * 5_000_000)").ok()
    [value] = [o for o in result.outputs if o["output_type"] == "execute_result"]
    assert len(value["data"]["text/html"]) == 5_000_003
    assert notes(result) == []


def test_what_is_shown_in_the_middle_stays_in_its_place(here):
    code = """
        print("a" * 3_000_000)
        display("middle")
        print("b" * 100)
        1 / 0
        """
    result = here.run(textwrap.dedent(code))
    assert result.ename == "ZeroDivisionError"
    shown = [o for o in result.outputs if o["output_type"] != "update_display_data"]
    kinds = [o["output_type"] for o in shown]
    assert kinds[-4:] == ["display_data", "display_data", "stream", "error"]
    assert shown[-3]["data"]["text/plain"] == "'middle'"
    assert shown[-2]["text"] == "b" * 100 + "\n"
    text = Path(the_note(result)["file"]).read_text()
    assert text == "a" * 3_000_000 + "\n" + "b" * 100 + "\n"


def test_clear_output_makes_room_again(here, tmp_path):
    code = """
        from IPython.display import clear_output
        for i in range(30):
            clear_output(wait=True)
            print(str(i) * 200_000)
        """
    result = here.run(textwrap.dedent(code)).ok()
    assert notes(result) == []
    assert result.outputs[-1]["text"].endswith("29" * 1000 + "\n")
    assert not (tmp_path / "pxkernel-output").exists()


def test_a_progress_bar_never_becomes_a_flood(here):
    code = "for i in range(1_000_000):\n    print(f'\\r{i:>60}', end='')"
    result = here.run(code, timeout=300).ok()  # 61 MB, of which a page holds a line
    assert notes(result) == []
    last = result.stdout.rpartition("\r")[2]
    assert last == f"{999_999:>60}"


def test_the_limit_can_be_set(here, new_kernel, tmp_path):
    assert "1.0 MB at once" in here.run("%output_limit").stdout
    here.run("%output_limit 50k").ok()
    assert the_note(here.run("print('x' * 100_000)"))["bytes"] == 100_001
    here.run("%output_limit off").ok()
    result = here.run("print('x' * 5_000_000)").ok()
    assert result.stdout == "x" * 5_000_000 + "\n"
    assert notes(result) == []
    assert len(here.run("'x' * 5_000_000").value) == 5_000_002
    assert here.run("%output_limit much").ename == "UsageError"
    assert "1.0 MB at once" in here.run("%output_limit default").stdout
    other = new_kernel(cwd=str(tmp_path), env={**os.environ, "PX_OUTPUT_LIMIT": "2M"})
    assert "2.0 MB" in other.run("%output_limit").stdout
    third = new_kernel(cwd=str(tmp_path), extra_arguments=["--ZMQInteractiveShell.output_limit=3M"])
    assert "3.0 MB" in third.run("%output_limit").stdout


def test_who_watches_sees_how_far_it_is(here):
    request = here.send(
        "import time\nprint('x' * 3_000_000)\nprint('and on')\nwhile True:\n    time.sleep(0.01)"
    )
    messages = []

    def preview():
        message = here.client.get_iopub_msg(timeout=60)
        messages.append(message)
        html = message["content"].get("data", {}).get("text/html", "")
        return "<pre>" in html and "and on\n</pre>" in html

    wait_for(preview, "a note with the last lines")
    here.manager.interrupt_kernel()
    assert here.collect(request).ename == "KeyboardInterrupt"


def test_memory_stays_bounded(here):
    here.run("import subprocess").ok()
    before = peak(here.pid)
    command = "head -c 600000000 /dev/zero | tr '\\0' x"
    result = here.run(f"subprocess.run({command!r}, shell=True)", timeout=300).ok()
    assert the_note(result)["bytes"] == 600_000_000
    assert peak(here.pid) - before < 250_000


def test_what_is_kept_for_notebooks_is_bounded(here):
    here.run("for i in range(300_000):\n    print(i)", timeout=120).ok()
    code = "sum(len(''.join(o.bundle['stream'])) for o in get_ipython().history_manager.outputs[1])"
    assert 1_000_000 < int(here.run(code).value) < 1_100_000
