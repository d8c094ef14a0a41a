"""More displays than a page can hold, updates quicker than one can look: bounded, nothing lost."""

import json
from pathlib import Path

import pytest
from support import peak, wait_for

IMPORT = "from IPython.display import clear_output, display, publish_display_data, update_display"


@pytest.fixture
def here(new_kernel, tmp_path):
    """A kernel whose files of output lie in tmp_path."""
    kernel = new_kernel(cwd=str(tmp_path))
    kernel.run(IMPORT).ok()
    return kernel


def of(result, kind):
    """The contents of a kind of message, without those of the note."""
    contents = [m["content"] for m in result.messages if m["msg_type"] == kind]
    return [c for c in contents if "pxkernel_output" not in c.get("metadata", {})]


def texts(result, kind="display_data"):
    return [content["data"]["text/plain"] for content in of(result, kind)]


def the_note(result):
    """The note as it was last shown: it has one place in the page."""
    notes = [
        message
        for message in result.messages
        if "pxkernel_output" in message["content"].get("metadata", {})
    ]
    assert len({note["content"]["transient"]["display_id"] for note in notes}) == 1
    assert [note["msg_type"] for note in notes].count("display_data") == 1
    assert notes[-1]["content"]["metadata"]["pxkernel_output"]["complete"]
    return notes[-1]["content"]


def test_a_flood_of_displays_is_bounded_and_the_rest_is_in_a_file(here, tmp_path):
    result = here.run("for i in range(12_000): display(i)\nprint('end')", timeout=100).ok()
    shown = texts(result)
    assert 2_500 <= len(shown) < 9_000
    note = the_note(result)
    about = note["metadata"]["pxkernel_output"]
    file = Path(about["file"])
    assert file.parent == tmp_path / "pxkernel-output"
    kept = [json.loads(line)["data"]["text/plain"] for line in file.read_text().splitlines()]
    # A cell may show more as time goes on, so what was kept need not be all that came later.
    assert sorted([*shown, *kept], key=int) == [str(i) for i in range(12_000)]
    assert kept == sorted(kept, key=int) and shown == sorted(shown, key=int)
    assert about["displays"] == len(kept) and about["lost"] == 0
    assert f"{len(kept)} displays" in note["data"]["text/plain"]
    assert file.name in note["data"]["text/html"]
    assert result.stdout == "end\n"
    again = here.run(f"%kept_displays {file} 3:5").ok()
    assert texts(again) == kept[3:5]
    assert len(texts(here.run(f"%kept_displays {file}").ok())) == 10
    assert "cannot be shown" in here.run("%kept_displays nothing 0:1").stderr
    assert texts(here.run("for i in range(200): display(i)").ok()) == [str(i) for i in range(200)]


@pytest.mark.slow
def test_large_images_are_bounded_by_their_bytes(here):
    before = peak(here.pid)
    code = (
        "import base64, os\n"
        "image = base64.b64encode(os.urandom(3_000_000)).decode()\n"
        "for i in range(100): publish_display_data({'image/png': image, 'text/plain': str(i)})"
    )
    result = here.run(code, timeout=100).ok()
    shown = texts(result)
    about = the_note(result)["metadata"]["pxkernel_output"]
    assert len(shown) * 4_000_000 >= 256 << 20 and len(shown) < 100
    assert len(shown) + about["displays"] == 100
    # What the client has not read waits in the kernel: no more than a cell may show, and room.
    assert peak(here.pid) - before < 700_000


def test_updates_that_come_too_quickly_are_left_out_but_the_last(here):
    code = (
        "one, two = display(0, display_id=True), display(0, display_id=True)\n"
        "for i in range(10_000): one.update(i); two.update(-i)\n"
        "print('end')"
    )
    result = here.run(code, timeout=100).ok()
    updates = of(result, "update_display_data")
    assert len(updates) < 2_000
    last = {}
    for update in updates:
        values = last.setdefault(update["transient"]["display_id"], [])
        values.append(abs(int(update["data"]["text/plain"])))
    assert len(last) == 2
    for values in last.values():
        assert values == sorted(values) and values[-1] == 9_999
    kinds = [m["msg_type"] for m in result.messages]
    assert kinds[-1] == "status"


def test_an_update_that_is_held_back_comes_while_the_cell_goes_on(here, tmp_path):
    code = (
        "import os, time\nhandle = display(0, display_id=True)\n"
        "for i in range(5_000): handle.update(i)\n"
        f"while not os.path.exists({str(tmp_path / 'seen')!r}): time.sleep(0.01)"
    )
    request = here.send(code)
    while True:
        content = here.client.get_iopub_msg(timeout=60)["content"]
        if content.get("data", {}).get("text/plain") == "4999":
            break
    (tmp_path / "seen").touch()
    assert here.collect(request).status == "ok"


def test_a_few_updates_all_come_in_order(here):
    code = (
        "handle = display(0, display_id='x')\n"
        "for i in range(20): handle.update(i); print(i)\n"
        "update_display('other', display_id='y')"
    )
    result = here.run(code).ok()
    assert texts(result, "update_display_data") == [*map(str, range(20)), "'other'"]


def test_updates_of_many_displays_are_none_the_less_all_there(here):
    code = (
        "handles = [display(0, display_id=True) for _ in range(400)]\n"
        "for i in range(3):\n    for handle in handles: handle.update(i)"
    )
    result = here.run(code, timeout=100).ok()
    last = {u["transient"]["display_id"]: u for u in of(result, "update_display_data")}
    assert len(last) == 400
    assert {u["data"]["text/plain"] for u in last.values()} == {"2"}


def test_clearing_and_showing_in_turns_loses_nothing(here, tmp_path):
    result = here.run(
        "for i in range(1_500): clear_output(wait=True); display(i)", timeout=100
    ).ok()
    assert texts(result) == [str(i) for i in range(1_500)]
    assert len(of(result, "clear_output")) == 1_500
    assert not (tmp_path / "pxkernel-output").exists()


def test_who_waits_for_its_turn_can_be_interrupted(here):
    request = here.send("n = 0\nwhile True: clear_output(wait=True); display(0); n += 1")
    seen = 0
    while seen < 5_200:
        seen += here.client.get_iopub_msg(timeout=60)["msg_type"] in (
            "display_data",
            "clear_output",
        )
    here.manager.interrupt_kernel()
    assert here.collect(request).ename == "KeyboardInterrupt"
    assert here.run("1").value == "1"


def test_without_a_limit_all_is_shown(here, tmp_path):
    here.run("%output_limit off").ok()
    result = here.run("for i in range(3_000): display(i)", timeout=100).ok()
    assert len(texts(result)) == 3_000
    assert not (tmp_path / "pxkernel-output").exists()


def test_what_background_threads_show_after_the_cell_is_bounded_too(here, tmp_path):
    code = (
        "import threading\ndef later():\n    go.wait()\n"
        "    for i in range(4_000): display(i)\n    done.set()\n"
        "go, done = threading.Event(), threading.Event()\n"
        "threading.Thread(target=later).start()"
    )
    here.run(code).ok()
    here.run("go.set(); done.wait()", timeout=100).ok()
    wait_for(lambda: list(tmp_path.glob("pxkernel-output/*.jsonl")), "a file of displays")
