"""Clients on another host: the whole API over the network, cuts of the network, strangers."""

import json
import os
import signal
import socket
import ssl
from pathlib import Path

import pytest
from netns import copied, far_host
from support import pxcluster, wait_for

CONNECT = "import pxparallel as ipp; rc = ipp.Client({!r}); value = rc.ids"


@pytest.fixture
def host():
    """Another host."""
    with far_host() as host:
        yield host


@pytest.fixture
def far(host, cluster, tmp_path):
    """A function: a cluster of two engines here, and a Python over there that is its client."""

    def start(lease: int = 60):
        one = cluster(2, "default", "--ip", host.here, "--lease", str(lease))
        python = host.python()
        assert python.run(CONNECT.format(str(copied(one, tmp_path)))) == [0, 1]
        return one, python

    return start


def test_a_client_on_another_host_has_the_whole_api(far):
    _, python = far()
    assert python.run("value = rc[:].apply_sync(lambda a: a * 2, 21)") == [42, 42]
    assert python.run("rc[:].push({'text': 'x' * 20_000_000}, block=True); value = 1") == 1
    assert python.run("value = rc[:].apply_sync(lambda: len(text))") == [20_000_000] * 2
    assert python.run("value = rc[1]['text'] == 'x' * 20_000_000")
    assert python.run("value = rc.load_balanced_view().map_sync(lambda x: x * x, range(500))") == [
        x * x for x in range(500)
    ]
    code = "print('ciao'); 1 / 0"
    python.send(f"ar = rc[0].execute({code!r}); ar.wait(); value = ar.stdout; ar.get()")
    assert python.answer()["error"] in ("RemoteError", "ZeroDivisionError")
    assert python.run("value = ar.stdout") == "ciao\n"


def test_what_this_host_shares_in_memory_reaches_everybody(far):
    """A client here uses shared memory, one over there cannot; both get the same bytes."""
    import numpy

    from pxparallel import Client

    _, python = far()
    array = numpy.arange(2_000_000.0)
    with Client() as near:
        near[:].push({"array": array}, block=True)
        assert python.run("value = float(rc[0]['array'].sum())") == float(array.sum())
        python.run("import numpy; rc[:].push({'back': numpy.ones(2_000_000)}, block=True)")
        assert near[1]["back"].sum() == 2_000_000


def _connected(one) -> int:
    """How many TCP connections the controller holds to be alive."""
    port = f":{json.loads(Path(one.started['file']).read_text())['port']:04X}"
    count = 0
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            words = line.split()
            count += words[1].endswith(port) and words[3] == "01"  # ESTABLISHED
    return count


def _cut_until_noticed(one, host) -> None:
    """Pull the cable, and plug it in again once the controller has given the connections up."""
    host.cut()
    wait_for(lambda: _connected(one) == 0, "the cut is noticed")
    host.mend()


@pytest.mark.parametrize("noticed", [False, True])
def test_a_cut_while_idle(far, host, noticed):
    """Short cuts are TCP's own affair, long ones take another connection: nothing shows of it."""
    one, python = far(lease=20)  # a beat every two seconds
    before = python.run("value = rc.session")
    if noticed:
        _cut_until_noticed(one, host)
    else:
        host.cut()
        host.mend()
    assert python.run("value = rc[:].apply_sync(lambda: 1 + 1)") == [2, 2]
    assert python.run("value = rc.session") == before
    assert one.status["clients"] == 1


def test_a_cut_while_tasks_run(far, host, tmp_path):
    """Every task is run once, and every result arrives, though the cable is pulled twice."""
    one, python = far(lease=20)
    log = tmp_path / "log"
    log.mkdir()
    python.run(
        "def work(i, folder):\n"
        "    import os, time\n"
        "    fd = os.open(f'{folder}/{i}', os.O_CREAT | os.O_EXCL | os.O_WRONLY)\n"
        "    os.close(fd)\n"
        "    print('task', i)\n"
        "    time.sleep(0.02)\n"
        "    return i\n"
        f"ar = rc.load_balanced_view().map_async(work, range(300), [{str(log)!r}] * 300)"
    )
    for part in (50, 150):
        wait_for(lambda part=part: len(list(log.iterdir())) > part, "tasks run")
        _cut_until_noticed(one, host)
    assert python.run("value = ar.get(60)") == list(range(300))
    assert python.run("value = ''.join(ar.stdout).count('task')") == 300
    assert len(list(log.iterdir())) == 300


def test_a_cut_while_data_moves(far, host):
    one, python = far(lease=20)
    python.run("import numpy; a = numpy.arange(10_000_000.0); rc[0].push({'warm': 1}, block=True)")
    python.send("ar = rc[0].push({'a': a}); ar.get(60); value = bool((rc[0]['a'] == a).all())")
    _cut_until_noticed(one, host)
    assert python.answer() == {"value": True}


def test_a_cut_that_stays_ends_the_wait(far, host):
    """Lease four seconds: the client says so itself, and the controller forgets it."""
    one, python = far(lease=4)
    python.send("rc[0].apply_sync(__import__('time').sleep, 1000)")
    wait_for(lambda: one.engines[0]["state"] == "busy", "it runs")
    host.cut()
    answer = python.answer()
    assert "no connection to the controller" in answer["text"], answer
    wait_for(lambda: one.status["clients"] == 0, "the controller has given it up")
    host.mend()


def test_a_killed_controller_is_noticed_at_once(far, tmp_path):
    """Its host answers that nobody listens any more: that is no cut."""
    one, python = far(lease=10)
    python.send("rc[0].apply_sync(__import__('time').sleep, 1000)")
    wait_for(lambda: one.engines[0]["state"] == "busy", "it runs")
    os.kill(one.pid, signal.SIGKILL)
    text = python.answer()["text"]
    assert "cannot reach the controller" in text or "refused" in text, text


def test_a_stopped_cluster_says_so(far):
    one, python = far()
    python.send("rc[0].apply_sync(__import__('time').sleep, 1000)")
    wait_for(lambda: one.engines[0]["state"] == "busy", "it runs")
    one.stop()
    assert "error" in python.answer()
    python.send("rc[0].apply_sync(int)")
    assert "stopped" in python.answer()["text"]


def test_an_address_that_leads_nowhere_is_said(far, host, tmp_path):
    one, python = far()
    described = json.loads(Path(one.started["file"]).read_text())
    copy = tmp_path / "wrong.json"
    copy.write_text(json.dumps({**described, "key": "0" * 64}))
    python.send(f"ipp.Client({str(copy)!r})")
    assert "does not have the key" in python.answer()["text"]
    copy.write_text(json.dumps({**described, "port": 1}))
    python.send(f"ipp.Client({str(copy)!r})")
    text = python.answer()["text"]
    assert "cannot reach" in text and "firewall" in text, text
    host.cut()
    copy.write_text(json.dumps(described))
    python.send(f"ipp.Client({str(copy)!r}, timeout=1)")
    assert "no answer" in python.answer()["text"]
    host.mend()


# --- strangers -----------------------------------------------------------------------------------


def _door(one) -> tuple[str, int]:
    described = json.loads(Path(one.started["file"]).read_text())
    return described["addresses"].split()[0], described["port"]


def _hung_up(link: socket.socket) -> bool:
    """Wait until the other side ends the connection."""
    link.settimeout(30)
    try:
        while link.recv(65536):
            pass
    except ConnectionError:
        pass
    return True


def test_strangers_at_the_door(cluster):
    """Without the key nothing but a failing handshake is to be had, and others are served."""
    from pxparallel import Client

    one = cluster(1, "default", "--ip", "127.0.0.1")
    where = _door(one)
    links = []
    for words in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01" + b"\xff" * 600, b"PXL1" * 100):
        links.append(socket.create_connection(where))
        links[-1].sendall(words)
    silent = socket.create_connection(where)
    plain = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    plain.check_hostname = False
    plain.verify_mode = ssl.CERT_NONE
    with socket.create_connection(where) as link, pytest.raises((ssl.SSLError, ConnectionError)):
        plain.wrap_socket(link)
    for link in (*links, silent):
        assert _hung_up(link)
        link.close()
    with Client() as rc:
        assert rc[0].apply_sync(int) == 0


def test_a_crowd_of_strangers_keeps_nobody_out_for_long(cluster, monkeypatch):
    from pxparallel import Client

    one = cluster(1, "default", "--ip", "127.0.0.1")
    where = _door(one)
    crowd = [socket.create_connection(where) for _ in range(600)]
    monkeypatch.setenv("PX_LINK", "tcp")
    with Client(timeout=30) as rc:
        assert rc[0].apply_sync(int) == 0
    for link in crowd:
        link.close()
    assert pxcluster("status")["state"] == "running"


def test_without_being_asked_nobody_listens(cluster):
    one = cluster(1)
    assert "port" not in json.loads(Path(one.started["file"]).read_text())


def test_an_address_of_somebody_else_is_refused(watch):
    answer = pxcluster("start", "-n", "1", "--ip", "192.0.2.1", check=False)
    assert "cannot listen on 192.0.2.1" in answer["error"]["message"]
