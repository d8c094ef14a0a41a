"""input(), getpass and debuggers on engines: the question is put to who waits for the result."""

import builtins
import subprocess
import sys
from pathlib import Path

import pytest
from support import wait_for

from pxparallel import Client
from pxparallel.error import without_colours

CONNECT = "from pxparallel import Client; rc = Client(); view = rc[:]"


@pytest.fixture
def told(monkeypatch):
    """A person who answers ``input()`` in this process; what was asked."""
    asked = []

    def answer(prompt=""):
        asked.append(prompt)
        return f"answer {len(asked)}"

    monkeypatch.setattr(builtins, "input", answer)
    return asked


def ask(prompt=""):
    return input(prompt)


def test_px__input_is_asked_in_the_cell(kernel, cluster):
    cluster(2)
    kernel.run(CONNECT).ok()
    asked = []

    def answer(prompt):
        asked.append(prompt)
        return f"Ada {prompt[7]}"

    result = kernel.run("%px print('hi'); name = input('name? '); print(name)", answer=answer).ok()
    assert sorted(asked) == ["[stdin:0] name? ", "[stdin:1] name? "]
    assert "[stdout:0] hi" in result.stdout and "Ada 0" in result.stdout
    assert "Ada 1" in result.stdout
    assert kernel.run("view['name']").value == "['Ada 0', 'Ada 1']"


def test_px__getpass_hides_what_is_typed(kernel, cluster):
    cluster(1)
    kernel.run(CONNECT).ok()
    request = kernel.send("%px import getpass; word = getpass.getpass('word: ')", allow_stdin=True)
    question = kernel.client.get_stdin_msg(timeout=60)["content"]
    assert question == {"prompt": "[stdin:0] word: ", "password": True}
    kernel.client.input("secret")
    kernel.collect(request).ok()
    assert kernel.run("rc[0]['word']").value == "'secret'"


def test_every_blocking_wait_asks(cluster, told):
    cluster(2)
    with Client() as rc:
        assert rc[0].apply_sync(ask, "a? ") == "answer 1"
        assert rc[1].apply_async(ask, "b? ").get(timeout=60) == "answer 2"
        assert sorted(rc[:].map_sync(ask, ["c? ", "d? "])) == ["answer 3", "answer 4"]
        balanced = rc.load_balanced_view()
        assert balanced.apply_sync(ask, "e? ") == "answer 5"
        assert sorted(balanced.map_sync(ask, ["f? "] * 4)) == [f"answer {i}" for i in range(6, 10)]
        result = rc[0].execute("x = input('g? ')", block=False)
        result.wait()
        assert rc[0]["x"] == "answer 10"
    assert sorted(prompt.partition("] ")[2][0] for prompt in told) == list("abcdeffffg")
    assert told[:2] == ["[stdin:0] a? ", "[stdin:1] b? "]


async def iterate(result):
    return [value async for value in result]


def test_waits_that_block_no_thread_ask_too(cluster, told):
    import asyncio
    from concurrent.futures import as_completed, wait

    async def awaits(result):
        return await result

    cluster(2)
    with Client() as rc:
        assert asyncio.run(awaits(rc[0].apply_async(ask, "a? "))) == "answer 1"
        assert sorted(asyncio.run(iterate(rc[:].apply_async(ask, "b? ")))) == [
            "answer 2",
            "answer 3",
        ]
        later = rc[0].apply_async(ask, "c? ")
        assert wait([later], timeout=60).not_done == set()
        assert [f.get() for f in as_completed([rc[1].apply_async(ask, "d? ")], 60)] == ["answer 5"]
        early = rc[0].apply_async(ask, "e? ")
        later = rc[1].apply_async(ask, "f? ")
        wait_for(lambda: rc.queue_status()[1]["tasks"] or len(told) == 5, "it may ask")
        assert asyncio.run(awaits(later)) in ("answer 6", "answer 7")
        assert early.get(timeout=60) in ("answer 6", "answer 7")
    assert sorted(prompt.partition("] ")[2][0] for prompt in told) == list("abbcdef")


def test_an_awaited_question_stands_in_the_cell_and_the_loop_runs_on(kernel, cluster):
    cluster(2)
    kernel.run(CONNECT).ok()
    asked = []
    result = kernel.run(
        "import asyncio\nturns = 0\nasync def tick():\n    global turns\n    while True:\n"
        "        await asyncio.sleep(0.001); turns += 1\n"
        "ticking = asyncio.create_task(tick())\n"
        "def quiet():\n    print('hi')\n    return input('name? ')\n"
        "names = await view.apply_async(quiet)\nticking.cancel()\nprint(names, turns > 0)",
        answer=lambda prompt: asked.append(prompt) or f"Ada {prompt[7]}",
    ).ok()
    assert "['Ada 0', 'Ada 1'] True" in result.stdout
    assert sorted(asked) == ["[stdin:0] name? ", "[stdin:1] name? "]


def test_an_interrupt_ends_an_awaited_question_and_the_call_that_asked(kernel, cluster):
    cluster(1)
    kernel.run(CONNECT).ok()
    code = "result = rc[0].apply_async(input, 'name? ')\nawait result"
    request = kernel.send(code, allow_stdin=True)
    kernel.client.get_stdin_msg(timeout=60)
    kernel.manager.interrupt_kernel()
    ended = kernel.collect(request).reply["content"]["ename"]
    assert ended in ("KeyboardInterrupt", "CancelledError")
    assert kernel.run("rc[0].apply_sync(int), result.done(), result.successful()").value == (
        "(0, True, False)"
    )


def test_noblock__the_question_waits_for_who_wants_the_result(kernel, cluster):
    cluster(1)
    kernel.run(CONNECT).ok()
    kernel.run("%%px --noblock\nname = input('name? ')").ok()
    assert kernel.run("1 + 1").value == "2"
    asked = []
    kernel.run("%pxresult", answer=lambda prompt: asked.append(prompt) or "Grace").ok()
    assert asked == ["[stdin:0] name? "]
    assert kernel.run("rc[0]['name']").value == "'Grace'"


def test_an_answer_that_cannot_be_had_is_an_eof_error_on_the_engine(kernel, cluster):
    cluster(2)
    kernel.run(CONNECT).ok()
    failed = kernel.run("view.apply_sync(input, 'name? ')")  # this front end takes no input
    assert "EOFError" in failed.traceback and "does not support input" in failed.traceback
    assert kernel.run("view.apply_sync(int)").value == "[0, 0]"


def test_a_client_that_leaves_ends_the_question(cluster):
    one = cluster(1)
    asking = Client()
    other = Client()
    waiting = asking[0].execute("try:\n    input()\nexcept EOFError as e:\n    why = str(e)")
    wait_for(lambda: one.status["busy"] == 1, "the engine asks")
    later = other[0].apply_async(int)
    asking.close()
    assert later.get(timeout=60) == 0
    assert "left" in other[0]["why"]
    assert waiting.done()
    other.close()


def test_a_dropped_result_ends_the_question(cluster):
    cluster(1)
    with Client() as rc:
        result = rc[0].execute("try:\n    input()\nexcept EOFError as e:\n    why = str(e)")
        del result
        assert "nobody waits" in rc[0].apply_async(lambda: why).get(timeout=60)  # noqa: F821


def test_interrupting_while_an_engine_asks_interrupts_it(kernel, cluster):
    cluster(2)
    kernel.run(CONNECT).ok()
    request = kernel.send("%px input('never? ')", allow_stdin=True)
    kernel.client.get_stdin_msg(timeout=60)
    kernel.manager.interrupt_kernel()
    result = kernel.collect(request)
    assert result.status == "error" and "KeyboardInterrupt" in result.stderr
    assert kernel.run("view.apply_sync(int)").value == "[0, 0]"


def test_an_engine_that_dies_while_it_asks_ends_the_wait(cluster, monkeypatch):
    one = cluster(1)

    def kill(prompt=""):
        one.kill_engine(0)
        return "too late"

    monkeypatch.setattr(builtins, "input", kill)
    with Client() as rc, pytest.raises(Exception, match="SIGKILL"):
        rc[0].apply_sync(ask)


def test_breakpoint__pdb_talks_through_the_cell_and_stays_with_one_engine(kernel, cluster):
    cluster(2)
    kernel.run(CONNECT).ok()
    kernel.run("def f(x):\n    y = x * 2\n    breakpoint()\n    return y").ok()
    asked = []
    commands = {"0": ["p y", "y = 100", "c"], "1": ["p y", "c"]}

    def answer(prompt):
        asked.append(prompt)
        return commands[prompt[7]].pop(0)

    result = kernel.run("rc[:].map_sync(f, [1, 2])", answer=answer).ok()
    assert result.value == "[100, 4]"
    assert "return y" in without_colours(result.stdout)  # where it stands, with the cell's source
    assert [prompt[7] for prompt in asked] in (list("00011"), list("11000"))


def test_post_mortem__shows_the_engines_locals(kernel, cluster):
    cluster(2)
    kernel.run(CONNECT).ok()
    kernel.run("def f(x):\n    inside = x * 111\n    return 1 / 0").ok()
    assert kernel.run("rc[1].apply_sync(f, 3)").status == "error"
    asked = []
    commands = iter(["p inside", "q"])

    def answer(prompt):
        asked.append(prompt)
        return next(commands)

    result = kernel.run("rc[1].debug()", answer=answer).ok()
    assert "333" in result.stdout and "1 / 0" in without_colours(result.stdout)
    assert all(prompt.startswith("[stdin:1] ") for prompt in asked)
    commands = iter(["p x", "q"])
    assert kernel.run("%px x = 7; 1/0").status == "error"
    result = kernel.run("%%px --targets 0\n%debug", answer=answer).ok()
    assert "7" in result.stdout


def test_a_script_asks_on_its_terminal(cluster, tmp_path):
    cluster(2)
    script = Path(tmp_path, "ask.py")
    script.write_text(
        "from pxparallel import Client\n"
        "rc = Client()\n"
        "print(rc[:].apply_sync(lambda: input('n? ')))\n"
    )
    done = subprocess.run(
        [sys.executable, script], input="one\ntwo\n", capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "[stdin:0] n? " in done.stdout and "[stdin:1] n? " in done.stdout
    assert "'one'" in done.stdout and "'two'" in done.stdout
