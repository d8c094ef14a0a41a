"""What a controller does with what should never come: it drops it and serves on."""

import builtins
import json
import os
import socket
import struct
import time
from hashlib import sha256
from hmac import new as hmac
from pathlib import Path

import pytest
from support import pxcluster, wait_for

from pxparallel import Client

MAGIC = b"PXL1"
HUB = struct.pack("<BBHIQII", 1, 4, 0, 0, 0, 0, 0)


def packed(frames: list[bytes]) -> bytes:
    """A message as it stands on a link."""
    sizes = b"".join(struct.pack("<Q", len(f)) for f in frames)
    return MAGIC + struct.pack("<I", len(frames)) + sizes + b"".join(frames)


def message(msg_type: str, content: object, key: bytes, route: bytes = HUB) -> bytes:
    """A signed Jupyter message behind a route frame."""
    header = {"msg_id": os.urandom(8).hex(), "msg_type": msg_type, "session": "s", "username": "u"}
    header |= {"date": "2026-01-01T00:00:00Z", "version": "5.4"}
    parts = [json.dumps(p).encode() for p in (header, {}, {}, content)]
    digest = hmac(key, b"".join(parts), sha256).hexdigest().encode()
    return packed([route, b"<IDS|MSG>", digest, *parts])


def read_message(link: socket.socket) -> list[bytes]:
    """The next message's frames."""

    def exactly(n: int) -> bytes:
        data = b""
        while len(data) < n:
            more = link.recv(n - len(data))
            assert more, "the controller hung up"
            data += more
        return data

    lead = exactly(8)
    assert lead[:4] == MAGIC
    (count,) = struct.unpack("<I", lead[4:])
    sizes = struct.unpack(f"<{count}Q", exactly(8 * count))
    return [exactly(size) for size in sizes]


class Door:
    """A cluster's files and ways to knock."""

    def __init__(self, one) -> None:
        self.one = one
        self.file = json.loads(Path(one.started["file"]).read_text())
        self.key = self.file["key"].encode()

    def knock(self, which: str) -> socket.socket:
        link = socket.socket(socket.AF_UNIX)
        link.settimeout(20)
        link.connect(self.file[which])
        return link

    def client(self) -> tuple[socket.socket, dict]:
        """A registered control connection and the answer to the registration."""
        link = self.knock("control")
        link.sendall(message("register_request", {"role": "client"}, self.key))
        return link, json.loads(read_message(link)[6])

    def worker(self) -> tuple[socket.socket, socket.socket]:
        """A registered client's control and work connections."""
        control, answer = self.client()
        work = self.knock("work")
        request = {"role": "client", "peer": answer["peer"]}
        work.sendall(message("register_request", request, self.key))
        assert json.loads(read_message(work)[6])["status"] == "ok"
        return control, work


def is_dropped(link: socket.socket) -> bool:
    """True when the other side ends the connection."""
    try:
        while link.recv(65536):
            pass
    except ConnectionResetError:
        pass
    return True


@pytest.fixture
def door(cluster):
    return Door(cluster(1))


def bad_bytes(key: bytes) -> dict[str, bytes]:
    """What a connection may begin with that is no registration."""
    wrong = message("register_request", {"role": "client"}, b"another key")
    good = message("register_request", {"role": "client"}, key)
    return {
        "garbage": os.urandom(4096),
        "text": b"GET / HTTP/1.1\r\n\r\n",
        "wrong key": wrong,
        "no frames": MAGIC + struct.pack("<I", 0),
        "too many frames": MAGIC + struct.pack("<I", 1 << 30),
        "too large": MAGIC + struct.pack("<IQ", 1, 1 << 50),
        "too large for a stranger": MAGIC + struct.pack("<IQ", 1, 64 << 20),
        "sizes that overflow": MAGIC + struct.pack("<IQQ", 2, (1 << 64) - 1, 2),
        "no delimiter": packed([HUB, b"a", b"b", b"c", b"d", b"e", b"f"]),
        "one frame": packed([HUB]),
        "another request": message("status_request", {}, key),
        "an unknown role": message("register_request", {"role": "king"}, key),
        "an engine nobody ordered": message(
            "register_request", {"role": "engine", "engine": 0, "token": "x"}, key
        ),
        "an engine of no id": message("register_request", {"role": "engine"}, key),
        "content that is no object": message("register_request", [1], key),
        "half a message": good[: len(good) // 2],
    }


@pytest.mark.parametrize("which", ["control", "work"])
def test_what_is_no_registration_is_dropped(door, which):
    data_by_name = bad_bytes(door.key)
    if which == "work":
        unknown = {"role": "client", "peer": "0" * 32}
        data_by_name["an unknown secret"] = message("register_request", unknown, door.key)
    for name, data in data_by_name.items():
        link = door.knock(which)
        link.sendall(data)
        if name == "half a message":
            link.shutdown(socket.SHUT_WR)
        assert is_dropped(link), name
        link.close()
    assert door.one.status["state"] == "running"


def test_a_registration_cannot_be_replayed(door):
    data = message("register_request", {"role": "client"}, door.key)
    first, second = door.knock("control"), door.knock("control")
    first.sendall(data)
    assert json.loads(read_message(first)[6])["status"] == "ok"
    second.sendall(data)
    assert is_dropped(second)


def test_who_says_nothing_is_put_out_and_keeps_nobody_waiting(door):
    silent = [door.knock(which) for which in ("control", "work")]
    assert pxcluster("status")["state"] == "running"
    started = time.monotonic()
    assert all(map(is_dropped, silent))
    assert time.monotonic() - started < 19


def route(kind: int, engine: int, client: int = 0, task: int = 1, flags: int = 0) -> bytes:
    return struct.pack("<BBHIQIII", 1, kind, flags, client, task, 1, 0, engine)


def with_terms(terms: bytes, key: bytes) -> bytes:
    """A task for engine 0 with these bytes where its terms stand."""
    signed = message("execute_request", {"code": "1"}, key, route(8, 0, flags=4))
    count = struct.unpack("<I", signed[4:8])[0]
    sizes = struct.unpack(f"<{count}Q", signed[8 : 8 + 8 * count])
    frames, at = [], 8 + 8 * count
    for size in sizes:
        frames.append(signed[at : at + size])
        at += size
    return packed([frames[0], terms, *frames[1:]])


@pytest.mark.parametrize(
    "data",
    [
        lambda key: packed([b"short", *[b"{}"] * 6]),
        lambda key: packed([b"\2" + route(1, 0)[1:], *[b"{}"] * 6]),  # another version
        lambda key: packed([route(1, 0)[:-4], *[b"{}"] * 6]),  # fewer ids than it says
        lambda key: message("execute_reply", {}, key, route(2, 0)),  # a client replies
        lambda key: message("stream", {}, key, route(3, 0)),  # a client prints
        lambda key: message("error", {}, key, route(5, 0)),  # a client buries
        lambda key: packed([route(1, 0), b"{}"]),  # no message behind the route
        lambda key: os.urandom(4096),
        lambda key: with_terms(b"short", key),
        lambda key: with_terms(struct.pack("<IIBBHII", 0, 0, 0, 0, 0, 1 << 31, 1 << 31), key),
        lambda key: with_terms(struct.pack("<IIBBHII", 0, 0, 0, 0, 0, 3, 0), key),
        lambda key: message("x", {}, key, route(99, 0)),  # a kind that does not exist
    ],
)
def test_a_registered_client_that_breaks_the_protocol_is_dropped(door, data):
    control, work = door.worker()
    work.sendall(data(door.key))
    assert is_dropped(work)
    control.close()
    assert door.one.status["ready"] == 1


def test_a_request_to_nobody_is_answered_at_once(door):
    control, work = door.worker()
    work.sendall(message("execute_request", {"code": "1"}, door.key, route(1, 99, task=7)))
    frames = read_message(work)
    kind, task = frames[0][1], struct.unpack("<Q", frames[0][8:16])[0]
    content = json.loads(frames[6])
    assert (kind, task) == (5, 7)
    assert content["ename"] == "EngineError" and "no engine 99" in content["evalue"]
    control.close()
    work.close()


def test_a_client_cannot_speak_for_another(door):
    one_control, one = door.worker()
    two_control, two = door.worker()
    # The client number in the route frame is a lie; the answer comes to who asked.
    request = message("kernel_info_request", {}, door.key, route(1, 0, client=1, task=5))
    two.sendall(request)
    frames = read_message(two)
    while frames[0][1] != 2:
        frames = read_message(two)
    assert struct.unpack("<Q", frames[0][8:16])[0] == 5
    one.settimeout(0.2)
    with pytest.raises(TimeoutError):
        one.recv(1)
    for link in (one_control, one, two_control, two):
        link.close()


def test_who_was_not_asked_cannot_answer(door, monkeypatch):
    control, work = door.worker()

    def answer(prompt=""):
        for key in (door.key, b"another key"):
            for task in range(8):
                forged = message("input_reply", {"value": "forged"}, key, route(6, 0, task=task))
                work.sendall(forged)
        # An engine answers this without Python, behind what came before on the same link.
        work.sendall(message("kernel_info_request", {}, door.key, route(1, 0, task=99)))
        while read_message(work)[0][1] != 2:
            pass
        return "true"

    monkeypatch.setattr(builtins, "input", answer)
    with Client() as rc:
        assert rc[0].apply_sync(lambda: input("who? ")) == "true"
        assert rc[0].apply_sync(int) == 0
    control.close()
    work.close()


def test_answers_and_releases_that_nobody_wants_are_nothing(door):
    control, work = door.worker()
    for engine in (0, 99):
        for task in (0, 1, 2**64 - 1):
            answer = {"value": "x" * 1000}
            work.sendall(message("input_reply", answer, door.key, route(6, engine, task=task)))
            work.sendall(packed([route(7, engine, task=task)]))
    work.sendall(message("kernel_info_request", {}, door.key, route(1, 0, task=5)))
    while (frame := read_message(work)[0])[1] != 2:
        pass
    assert struct.unpack("<Q", frame[8:16])[0] == 5
    control.close()
    work.close()


@pytest.mark.parametrize(
    "msg_type, content",
    [
        ("scale_request", {"n": -1}),
        ("scale_request", {"n": "many"}),
        ("scale_request", {}),
        ("signal_request", {"engines": [0], "signal": "SIGNONSENSE"}),
        ("signal_request", {"engines": [77], "signal": "SIGINT"}),
        ("signal_request", {"engines": {"a": 1}, "signal": "SIGINT"}),
        ("signal_request", {"engines": [10**30], "signal": "SIGINT"}),
        ("shutdown_request", {"engines": [-1]}),
        ("restart_request", {"engines": "some"}),
        ("abort_request", {}),
        ("nonsense_request", {}),
    ],
)
def test_a_bad_request_is_answered_with_an_error(door, msg_type, content):
    link, _ = door.client()
    link.sendall(message(msg_type, content, door.key))
    while True:
        frames = read_message(link)
        header = json.loads(frames[3])
        if header["msg_type"].endswith("_reply"):
            break
    answer = json.loads(frames[6])
    assert answer["status"] == "error" and answer["evalue"]
    assert json.loads(frames[4])["msg_type"] == msg_type
    link.close()
    assert door.one.status["ready"] == 1


def test_a_flood_of_connections_is_survived(door):
    links = [door.knock(which) for which in ("control", "work") for _ in range(300)]
    assert pxcluster("status")["ready"] == 1
    for link in links:
        link.close()
    wait_for(lambda: pxcluster("status")["clients"] == 0, "no clients")
