"""Many starts: each first cell gets its reply and its idle, however early it is sent; and however
many start at once, all come up. `make soak` runs the long form."""

import json
import os
import subprocess

import pytest
from jupyter_client import BlockingKernelClient
from support import BIN, Kernel, alive, command_line, marked, wait_for, wait_gone

RESTARTS = int(os.environ.get("PX_TEST_RESTARTS", "12"))
AT_ONCE = int(os.environ.get("PX_TEST_KERNELS", "20"))


def restart_at_once(kernel, number):
    """Restart, and send a cell before the kernel can be there, from a client that is as new."""
    kernel.client.stop_channels()
    kernel.manager.restart_kernel(now=False)
    kernel.client = kernel.manager.blocking_client()
    kernel.client.start_channels()
    result = kernel.run(f"print('cell', {number})\n{number} + 1")
    assert result.stdout == f"cell {number}\n"
    assert result.value == str(number + 1)
    states = [m["content"]["execution_state"] for m in result.messages if m["msg_type"] == "status"]
    assert states == ["busy", "idle"]


@pytest.mark.timeout(3600)
def test_restarts_with_an_instant_cell(kernel):
    for number in range(max(2, RESTARTS // 6)):
        restart_at_once(kernel, number)


@pytest.mark.timeout(3600)
def test_warm_restarts_with_an_instant_cell(watch, new_kernel, monkeypatch):
    monkeypatch.setenv("PX_WARM", "1")
    anchor = Kernel()
    try:
        wait_for(lambda: list(watch.run.glob(".warm-*")), "the keeper is warm", 60)
        kernel = new_kernel()
        for number in range(RESTARTS):
            restart_at_once(kernel, number)
        parent = int(kernel.run("import os; os.getppid()").value)
        assert "--keeper" in command_line(parent), "they were warm"
        kernel.close()
    finally:
        anchor.close()
    wait_for(lambda: not list(watch.run.glob(".keep-*")), "the keeper ends")


def connected(file):
    """A client without the thread that asks the heartbeat: hundreds of those use up all files."""
    client = BlockingKernelClient(connection_file=str(file))
    client.load_connection_file()
    client.start_channels(hb=False)
    return client


@pytest.mark.timeout(3600)
def test_many_at_once(watch, monkeypatch, tmp_path):
    """Not one by one: all are there before the first is ready. They agree on one keeper."""
    monkeypatch.setenv("PX_WARM", "1")
    files = [tmp_path / f"kernel-{number}.json" for number in range(AT_ONCE)]
    processes = [
        subprocess.Popen([BIN / "pxkernel", "-f", file], start_new_session=True) for file in files
    ]
    try:
        for number, file in enumerate(files):
            wait_for(lambda file=file: file.exists() and json.loads(file.read_text()), "file", 300)
            client = connected(file)
            try:
                reply = client.execute_interactive(f"assert {number} == {number}", timeout=300)
                assert reply["content"]["status"] == "ok"
            finally:
                client.stop_channels()
        keepers = [pid for pid in marked(watch.mark) if "--keeper" in command_line(pid)]
        assert len(keepers) == 1
        for file in files:
            client = connected(file)
            client.shutdown()
            client.control_channel.get_msg(timeout=300)
            client.stop_channels()
        assert wait_gone([process.pid for process in processes], 120) == []
        assert [process.wait() for process in processes] == [0] * AT_ONCE
    finally:
        for process in processes:
            if alive(process.pid):
                process.kill()
            process.wait()
    wait_for(lambda: not list(watch.run.glob(".keep-*")), "the keeper ends")
