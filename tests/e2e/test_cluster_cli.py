"""The command line of clusters: what a person and a program get from it."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from support import BIN, alive, pxcluster, wait_for

import pxparallel as px

EXIT = {"ok": 0, "usage": 2, "none": 3, "exists": 4, "missing": 5, "failed": 6}


def children(pid: int) -> list[str]:
    """The children of a process's main thread."""
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def run(*arguments: str, **options) -> subprocess.CompletedProcess:
    """pxcluster as a person calls it."""
    return subprocess.run(
        [BIN / "pxcluster", *arguments], capture_output=True, text=True, timeout=60, **options
    )


def problem(*arguments: str) -> tuple[int, dict]:
    """The exit code and the JSON of a call that must fail."""
    done = run(*arguments, "--json")
    return done.returncode, json.loads(done.stdout)


def test_start_waits_until_every_engine_is_ready(cluster):
    one = cluster(2)
    assert one.started["state"] == "running"
    assert one.started["ready"] == one.started["n"] == 2
    assert [e["state"] for e in one.started["engines"]] == ["idle", "idle"]
    assert all(alive(e["pid"]) for e in one.started["engines"])
    assert one.started["attached_to"] is None


def test_an_engine_shows_as_such_to_ps(cluster):
    one = cluster(1)
    pid = one.engine_pid(0)
    assert Path(f"/proc/{pid}/comm").read_text().strip() == "pxengine"
    assert Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"pxengine 0\0")


def test_list_and_status_agree(cluster):
    cluster(1, "a")
    cluster(2, "b")
    listed = pxcluster("list")
    assert [c["id"] for c in listed["clusters"]] == ["a", "b"]
    assert listed["version"] == 1 and listed["host"]["cores"] >= 1
    assert (
        listed["clusters"][1]["engines"][1]["pid"] == pxcluster("status", "b")["engines"][1]["pid"]
    )


def test_list_without_clusters(watch):
    assert pxcluster("list")["clusters"] == []
    done = run("list")
    assert done.returncode == 0 and "pxcluster start" in done.stdout


def test_a_cluster_of_another_version_is_no_secret(cluster):
    """It speaks otherwise: who would use it is told why not, and what ends it."""
    one = cluster(1)
    file = Path(one.started["file"])
    told = json.loads(file.read_text())
    file.write_text(json.dumps({**told, "version": told["version"] - 1}))
    listed = run("list")
    assert listed.stdout == ""
    for text in (listed.stderr, run("status").stderr, run("stop").stderr):
        assert "another version of pxkernel" in text
        assert f"`kill {one.pid}`" in text
    with pytest.raises(ValueError, match="another version of pxkernel"):
        px.Client()
    os.kill(one.pid, signal.SIGTERM)
    wait_for(lambda: not file.parent.exists())


def test_stop_returns_when_all_is_gone(cluster):
    one = cluster(2)
    pids = [one.pid, *(e["pid"] for e in one.started["engines"])]
    folder = Path(one.started["file"]).parent
    assert pxcluster("stop") == {"id": "default", "state": "gone"}
    assert not any(map(alive, pids)) and not folder.exists()


def test_stop_all(cluster):
    cluster(1, "a")
    cluster(1, "b")
    assert pxcluster("stop", "--all") == {"stopped": ["a", "b"]}
    assert pxcluster("list")["clusters"] == []


def test_no_such_cluster(cluster):
    cluster(1, "other")
    for command in ("status", "stop", "logs", "interrupt", "restart"):
        code, answer = problem(command, "missing")
        assert code == EXIT["none"], command
        assert answer["error"]["code"] == "no-cluster"
        assert 'no cluster named "missing"; running: other' in answer["message"]
        cure = "pxcluster list" if command == "stop" else "pxcluster start missing"
        assert f"`{cure}`" in answer["error"]["fix"][0]
    words = run("status")
    assert words.returncode == EXIT["none"] and "`pxcluster start`" in words.stderr


def test_a_name_is_taken_once(cluster):
    one = cluster(1)
    code, answer = problem("start", "-n", "1")
    assert code == EXIT["exists"] and "runs already" in answer["message"]
    assert one.status["pid"] == one.pid


def test_of_two_starts_at_once_one_wins(watch):
    calls = [
        subprocess.Popen(
            [BIN / "pxcluster", "start", "race", "-n", "1", "--json"], stdout=subprocess.PIPE
        )
        for _ in range(4)
    ]
    answers = [json.loads(call.communicate(timeout=60)[0]) for call in calls]
    assert sorted(call.returncode for call in calls) == [0, 4, 4, 4]
    winner = next(a for a in answers if "state" in a)
    assert pxcluster("status", "race")["pid"] == winner["pid"]
    pxcluster("stop", "race")


@pytest.mark.parametrize(
    "arguments",
    [
        ("start", "-n", "-1"),
        ("start", "-n", "many"),
        ("start", "-n", "5000"),
        ("start", "-n"),
        ("start", "a/b"),
        ("start", ".hidden"),
        ("start", "one", "two"),
        ("start", "--cwd", "/nowhere/at/all"),
        ("start", "--tail", "3"),
        ("scale",),
        ("frobnicate",),
        ("status", "--nonsense"),
    ],
)
def test_wrong_usage_is_told_and_starts_nothing(watch, arguments):
    code, answer = problem(*arguments)
    assert code == EXIT["usage"]
    assert answer["message"] and answer["error"]["message"] == answer["message"]
    assert pxcluster("list")["clusters"] == []


def test_help_of_every_command(watch):
    text = run("--help").stdout
    commands = re.findall(r"^  ([a-z]+)  +\S", text, re.M)
    assert {"start", "stop", "list", "status", "scale", "logs", "events"} <= set(commands)
    for command in commands:
        done = run(command, "--help")
        assert done.returncode == 0 and f"usage: pxcluster {command}" in done.stdout
    assert run("--version").stdout.startswith("pxcluster ")
    assert run().returncode == EXIT["usage"]


def test_scale_up_and_down(cluster):
    one = cluster(1)
    up = pxcluster("scale", "-n", "3")
    assert [e["id"] for e in up["engines"]] == [0, 1, 2] and up["state"] == "running"
    gone = [e["pid"] for e in up["engines"] if e["id"] > 0]
    pxcluster("scale", "-n", "1")
    wait_for(lambda: list(one.engines) == [0], "engines 1 and 2 gone")
    assert not any(map(alive, gone))
    again = pxcluster("scale", "-n", "2")
    assert [e["id"] for e in again["engines"]] == [0, 3]
    assert json.loads(Path(one.started["file"]).read_text())["n"] == 2


def test_sets_of_engines(cluster):
    one = cluster(None, "default", "-n", "0")
    assert (one.started["state"], one.started["n"], one.started["engines"]) == ("running", 0, [])
    assert children(one.pid) == []  # nothing was forked for nobody
    added = pxcluster("scale", "--add", "2", "--set", "red")
    assert [(e["id"], e["set"]) for e in added["engines"]] == [(0, "red"), (1, "red")]
    environment = Path(f"/proc/{one.engine_pid(0)}/environ").read_bytes().split(b"\0")
    cores = len(os.sched_getaffinity(0))
    assert f"OMP_NUM_THREADS={max(1, cores // 2)}".encode() in environment
    pxcluster("scale", "-n", "3")
    assert one.engines[2]["set"] == "default"
    gone = [one.engine_pid(0), one.engine_pid(2)]
    left = pxcluster("stop", "--engines", "0,2")  # and waits until they are gone
    assert [e["id"] for e in left["engines"]] == [1] and not any(map(alive, gone))
    assert (left["n"], left["state"]) == (1, "running")
    left = pxcluster("stop", "--set", "red")
    assert (left["n"], left["engines"]) == (0, [])
    for wrong in (
        ["stop", "--set", "red"],
        ["scale", "--set", "a"],
        ["scale", "--add", "1", "-n", "1"],
    ):
        assert pxcluster(*wrong, check=False)["error"]["message"], wrong
    code, answer = problem("scale", "--add", "1", "--set", "s" * 60)
    assert code == EXIT["usage"] and "1 to 47 bytes" in answer["message"]


def test_restart_gives_new_engines_under_new_ids(cluster):
    one = cluster(2)
    old = one.engine_pid(0)
    after = pxcluster("restart", "--engines", "0")
    assert after["state"] == "running"
    wait_for(lambda: list(one.engines) == [1, 2], "engine 0 replaced by 2")
    assert not alive(old)
    code, answer = problem("restart", "--engines", "7")
    assert code == EXIT["usage"] and "engine 7 does not exist; engines: 1, 2" in answer["message"]


def test_engines_start_where_they_are_told(cluster, tmp_path):
    one = cluster(1, "default", "--cwd", str(tmp_path))
    assert os.readlink(f"/proc/{one.engine_pid(0)}/cwd") == str(tmp_path)


def test_preload_reaches_the_engines(cluster, tmp_path):
    (tmp_path / "preloaded_here.py").write_text("print('preloaded_here was imported')\n")
    one = cluster(1, "default", "--cwd", str(tmp_path), "--preload", "colorsys, no_such_module_x")
    log = Path(one.started["file"]).with_name("zygote.log").read_text()
    assert "cannot preload no_such_module_x" in log and "colorsys" not in log


def test_logs(cluster):
    cluster(1)
    answer = pxcluster("logs")
    assert answer["engine"] is None and "zygote is ready" in answer["text"]
    answer = pxcluster("logs", "--engine", "0", "--tail", "5")
    assert answer["engine"] == 0 and answer["log"].endswith("engine-0.log")
    code, answer = problem("logs", "--engine", "9")
    assert code == EXIT["usage"] and "engine 9" in answer["message"]


def test_start_keeps_nothing_of_its_caller_open(cluster):
    one = cluster(1)
    for pid in (one.pid, one.engine_pid(0)):
        targets = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
        assert not any(t.startswith("/dev/pts") for t in targets)
    assert os.getsid(one.pid) == one.pid


def test_no_wait_answers_at_once(watch):
    answer = pxcluster("start", "-n", "1", "--no-wait")
    assert answer["state"] in ("starting", "running") and answer["n"] == 1
    wait_for(lambda: pxcluster("status")["state"] == "running", "running")
    pxcluster("stop")


def failing(tmp_path: Path, script: str) -> str:
    """A program that stands in for pxengine and fails."""
    program = tmp_path / "pxengine"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return str(program)


def test_engines_that_cannot_start_are_explained_and_leave_nothing(watch, tmp_path, monkeypatch):
    monkeypatch.setenv("PX_ENGINE", failing(tmp_path, "echo no such luck >&2; exit 9"))
    code, answer = problem("start", "-n", "2")
    assert code == EXIT["failed"]
    assert answer["error"]["code"] == "launch-failed"
    assert "exit code 9: no such luck" in answer["error"]["cause"]
    assert pxcluster("list")["clusters"] == []


def test_a_failed_cluster_is_shown_and_can_be_started_again(watch, tmp_path, monkeypatch):
    monkeypatch.setenv("PX_ENGINE", failing(tmp_path, "echo broken >&2; exit 1"))
    pxcluster("start", "-n", "1", "--no-wait")
    wait_for(lambda: pxcluster("status")["state"] == "failed", "failed")
    status = pxcluster("status")
    assert status["error"]["log"].endswith("zygote.log") and "broken" in status["error"]["cause"]
    monkeypatch.delenv("PX_ENGINE")
    assert pxcluster("start", "-n", "1")["state"] == "running"
    pxcluster("stop")


def test_a_missing_program_is_named(watch, monkeypatch):
    monkeypatch.setenv("PX_CONTROLLER", "/nowhere/pxcontroller")
    code, answer = problem("start", "-n", "1")
    assert code == EXIT["missing"] and "/nowhere/pxcontroller" in answer["message"]
    monkeypatch.delenv("PX_CONTROLLER")
    monkeypatch.setenv("PX_ENGINE", "/nowhere/pxengine")
    code, answer = problem("start", "-n", "1")
    assert code == EXIT["failed"] and "/nowhere/pxengine" in answer["message"]


def test_a_root_that_is_open_to_others_is_refused(watch, tmp_path, monkeypatch):
    root = tmp_path / "open"
    root.mkdir()
    root.chmod(0o777)
    monkeypatch.setenv("PX_RUNTIME_DIR", str(root))
    code, answer = problem("start", "-n", "1")
    assert code != 0 and "open to other users" in answer["message"]


def test_threads_of_numerical_libraries_are_shared_out(cluster):
    one = cluster(2)
    cores = len(os.sched_getaffinity(0))
    for engine in (0, 1):
        environment = Path(f"/proc/{one.engine_pid(engine)}/environ").read_bytes().split(b"\0")
        assert f"OMP_NUM_THREADS={max(1, cores // 2)}".encode() in environment


def test_launchers_say_what_is_missing_for_them(watch, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    known = {one["name"]: one for one in pxcluster("launchers")}
    assert known["local"]["ok"]
    assert not known["slurm"]["ok"]
    assert "sbatch" in known["slurm"]["why"]


FAILING = [
    ["status"],
    ["stop"],
    ["scale", "-n", "2"],
    ["logs"],
    ["frobnicate"],
    ["start", "-n", "-1"],
    ["start", "--cwd", "/nonexistent"],
    ["start", "bad/name"],
    ["start", "-n", "1", "--attach", "4194303"],
    ["start", "there"],
    ["restart", "there", "--engines", "7"],
    ["logs", "there", "--engine", "9"],
    ["signal", "there", "--signal", "NOPE"],
    ["interrupt", "there", "--engines", "5"],
]


def test_every_failure_names_a_next_step(cluster):
    cluster(1, "there")
    for arguments in FAILING:
        answer = pxcluster(*arguments, check=False)
        assert answer["message"] and answer["error"]["code"], arguments
        (fix,) = answer["error"]["fix"]
        assert fix.strip(), arguments
        text = subprocess.run(
            [BIN / "pxcluster", *arguments], capture_output=True, text=True, check=False
        )
        assert text.returncode != 0 and fix in text.stderr and not text.stdout, arguments
