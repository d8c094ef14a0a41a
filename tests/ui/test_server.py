"""The server half of the Cluster tab, over HTTP, on the real pxcluster."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from typing import Any

import pytest
from support import marked, pxcluster, wait_for, wait_gone
from tornado.httpclient import HTTPClientError
from tornado.websocket import websocket_connect


def ask(lab, method: str, path: str, body: Any = None, token: str | None = None):
    """One request: its status and the JSON of its answer."""
    request = urllib.request.Request(
        f"{lab.url}pxcluster/{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"token {lab.token if token is None else token}"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            status, text = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read()
    return status, json.loads(text) if text.startswith((b"{", b"[")) else None


def listen(lab, *until: str, act=None, token: str | None = None) -> list[dict[str, Any]]:
    """The events up to the first of each of these types in turn; `act` runs after the first one."""

    async def run():
        url = f"{lab.url.replace('http', 'ws', 1)}pxcluster/events"
        socket = await websocket_connect(f"{url}?token={lab.token if token is None else token}")
        events = []
        for kind in until:
            while not events or events[-1]["type"] != kind:
                text = await asyncio.wait_for(socket.read_message(), 30)
                assert text is not None, f"the server closed the socket before a {kind}"
                events.append(json.loads(text))
            if act is not None and len(events) == 1:
                await asyncio.to_thread(act)
        socket.close()
        return events

    return asyncio.run(run())


def feeds(watch) -> list[int]:
    """Processes of `pxcluster events` that this test's servers have started."""
    found = []
    for pid in marked(watch.mark):
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().split(b"\0")
        if b"events" in words and words[0].endswith(b"pxcluster"):
            found.append(pid)
    return found


def test_server__imports_no_client():
    code = (
        "import sys, pxparallel.server as s; s._jupyter_server_extension_points();"
        "bad = [m for m in sys.modules if m.startswith('pxparallel') and '.server' not in m];"
        "assert bad == ['pxparallel'], bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_server__answers_nobody_without_a_login(lab):
    for path in ("clusters", "clusters/default", "launchers"):
        assert ask(lab, "GET", path, token="wrong")[0] == 403


def test_server__gives_events_to_nobody_without_a_login(lab):
    with pytest.raises(HTTPClientError) as error:
        listen(lab, "snapshot", token="wrong")
    assert error.value.code == 403


def test_server__starts_engines_in_the_folder_that_is_in_view(lab):
    (lab.root / "course" / "week 1").mkdir(parents=True)
    body = {"n": 1, "cwd": "course/week 1", "restart": True, "engines": "local"}
    status, cluster = ask(lab, "POST", "clusters", body)
    assert (status, cluster["restart"], cluster["launcher"]) == (202, True, "local")
    wait_for(lambda: ask(lab, "GET", "clusters/default")[1]["state"] == "running", "running")
    (engine,) = ask(lab, "GET", "clusters/default")[1]["engines"]
    assert os.readlink(f"/proc/{engine['pid']}/cwd") == str(lab.root / "course" / "week 1")
    assert ask(lab, "DELETE", "clusters/default") == (204, None)
    status, answer = ask(lab, "POST", "clusters", {"n": 1, "engines": "telepathy"})
    assert status >= 400 and "telepathy" in answer["message"]


def test_server__walks_a_cluster_through_its_life(lab):
    status, answer = ask(lab, "GET", "clusters")
    assert (status, answer["clusters"]) == (200, [])
    assert answer["host"]["cores"] >= 1
    status, cluster = ask(lab, "POST", "clusters", {"n": 1})
    assert (status, cluster["id"], cluster["n"]) == (202, "default", 1)
    wait_for(lambda: ask(lab, "GET", "clusters/default")[1]["state"] == "running", "running")
    status, answer = ask(lab, "POST", "clusters", {"n": 1})
    assert (status, answer["error"]["code"]) == (409, "exists")
    assert ask(lab, "PATCH", "clusters/default", {"n": 2})[0] == 202
    wait_for(lambda: ask(lab, "GET", "clusters/default")[1]["ready"] == 2, "two engines")
    assert ask(lab, "POST", "clusters/default/interrupt", {"engines": [0]})[0] == 202
    status, log = ask(lab, "GET", "clusters/default/logs?tail=5")
    assert status == 200 and log["text"].count("\n") <= 5
    assert ask(lab, "GET", "clusters/default/logs?engine=0")[0] == 200
    assert ask(lab, "DELETE", "clusters/default") == (204, None)
    status, answer = ask(lab, "GET", "clusters/default")
    assert status == 404 and answer["error"]["fix"] and answer["message"]


def test_server__refuses_what_cannot_be_meant(lab):
    for method, path, body in [
        ("POST", "clusters", {"n": -3}),
        ("POST", "clusters", {"n": 2.5}),
        ("POST", "clusters", {"n": "2; reboot"}),
        ("POST", "clusters", {"n": 1, "id": "--help"}),
        ("POST", "clusters", {"n": 1, "id": "a/b"}),
        ("POST", "clusters", {"n": 1, "engines": "--help"}),
        ("POST", "clusters", {"n": 1, "cwd": "../.."}),
        ("POST", "clusters", [1]),
        ("PATCH", "clusters/default", {}),
        ("POST", "clusters/default/restart", {"engines": []}),
        ("GET", "clusters/default/logs?tail=-1", None),
    ]:
        status, answer = ask(lab, method, path, body)
        assert status == 422 and answer["message"], (method, path, body)
    assert ask(lab, "GET", "clusters/a/b")[0] == 404
    assert pxcluster("list")["clusters"] == []


def test_server__tells_events_from_one_child_that_ends_with_the_last_listener(lab, watch):
    def act():
        assert len(feeds(watch)) == 1
        (again,) = listen(lab, "snapshot")
        assert again["clusters"] == []
        assert len(feeds(watch)) == 1
        pxcluster("start", "-n", "1")
        pxcluster("stop")

    events = listen(lab, "snapshot", "cluster", "engine", "gone", act=act)
    states = [e["cluster"]["state"] for e in events if e["type"] == "cluster"]
    assert "running" in states
    assert all(
        e["cluster"]["ready"] == e["cluster"]["n"]
        for e in events
        if e["type"] == "cluster" and e["cluster"]["state"] == "running"
    )
    wait_for(lambda: not feeds(watch), "the end of pxcluster events", timeout=5)


def test_server__brings_a_late_listener_up_to_date(lab):
    late = []

    def act():
        pxcluster("start", "-n", "2")
        late.extend(listen(lab, "snapshot"))

    try:
        listen(lab, "snapshot", "cluster", act=act)
        (cluster,) = late[0]["clusters"]
        assert cluster["state"] in ("starting", "running")
        assert len(cluster["engines"]) == 2
    finally:
        pxcluster("stop")


def test_server__leaves_no_child_when_it_is_killed(lab, watch):
    seen = []

    def act():
        pids = feeds(watch)
        lab.process.kill()
        seen.append((len(pids), wait_gone(pids, 2)))

    with pytest.raises(AssertionError, match="the server closed the socket"):
        listen(lab, "snapshot", "gone", act=act)
    assert seen == [(1, [])]
