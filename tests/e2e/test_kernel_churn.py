"""Clients come, run a cell and go, some of them without waiting for what they asked for: all others
get their reply and their idle, and the kernel holds nothing of those that are gone."""

import os
import socket
from pathlib import Path

import pytest
from protocol_checks.subject import Client, Subject

N_CLIENTS = 3


@pytest.fixture
def subject(watch):
    kernel = Subject("pxkernel", watch.environment())
    yield kernel
    kernel.shut_down()


def join(subject):
    """A client whose subscription has arrived: it is welcomed."""
    client = Client(subject.info)
    subject.clients = [one for one in subject.clients if not one.context.closed] + [client]
    welcome = client.receive("iopub")
    assert welcome is not None and welcome["msg_type"] == "iopub_welcome"
    return client


def vanish(client, n):
    """Ask for something and be gone: before the answer, in the middle of it, or of a message."""
    code = "print('x' * 10_000)\ndisplay(1)\n2"
    if n % 3 == 0:
        client.execute(code)
    elif n % 3 == 1:
        client.execute("1 / 0", stop_on_error=False)  # else it aborts what others wait for
    else:
        client.send("comm_open", {"comm_id": f"c{n}", "target_name": "nobody", "data": {}})
    client.context.destroy(linger=100)


def knock(subject, n):
    """Somebody who does not speak ZeroMQ, or stops in the middle of its greeting."""
    address = (subject.info["ip"], subject.info["shell_port"])
    with socket.create_connection(address, timeout=30) as peer:
        peer.sendall(b"GET / HTTP/1.1\r\n\r\n" if n % 2 else b"\xff\0\0\0\0\0\0\0\1\x7f")


def held(subject):
    """Descriptors and resident bytes of the kernel."""
    folder = Path("/proc", str(subject.process.pid))
    pages = int((folder / "statm").read_text().split()[1])
    return len(os.listdir(folder / "fd")), pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.soak
def test_clients_that_come_and_go(subject, often):
    cycles = often(60, 10_000)
    clients = [join(subject) for _ in range(N_CLIENTS)]
    before = None
    for n in range(cycles):
        requests = [client.execute(f"{n} + {at}") for at, client in enumerate(clients)]
        for at, (client, request) in enumerate(zip(clients, requests, strict=True)):
            exchange = client.collect(request)
            assert exchange.value == str(n + at)
            assert exchange.kinds[-1] == "idle"
        clients[n % N_CLIENTS].close()
        clients[n % N_CLIENTS] = join(subject)
        if n % 5 == 0:
            vanish(join(subject), n // 5)
            knock(subject, n // 5)
        if n == cycles // 2:
            before = held(subject)
    for client in clients:
        client.close()
    subject.settle()
    after = held(subject)
    assert after[0] <= before[0] + 20, "descriptors of clients that are gone are held"
    assert after[1] <= before[1] + (64 << 20), "memory of clients that are gone is held"
    assert subject.run("6 * 7").value == "42"


@pytest.mark.soak
def test_interrupts_between_cells_hit_none(subject, often):
    """One is sent at the end of each cell: it ends that one or none, never the next."""
    for n in range(often(50, 5_000)):
        cell = subject.execute("pass")
        subject.send("interrupt_request", {}, "control")
        subject.published(cell)
        subject.reply(cell)
        assert subject.run(str(n)).value == str(n)
