"""The Cluster tab in a real browser, on real engines. What each scenario does is in tab.mjs."""

from __future__ import annotations

import sys

import pytest
from support import BIN, pxcluster, wait_gone
from ui.lab import browse

THEMES = ["JupyterLab Light", "JupyterLab Dark", "JupyterLab Dark High Contrast"]


@pytest.fixture
def tab(lab):
    """A function that runs a scenario in a lab of this test's own, then stops every cluster."""

    def run(scenario: str, **options):
        return browse(lab, "tab.mjs", scenario=scenario, **options)

    yield run
    pxcluster("stop", "--all", check=False)


def test_tab__says_running_only_when_every_engine_answers(tab):
    seen = tab("progress")
    counts = [state.partition(" ")[2] for state in seen["states"]]
    assert seen["states"][-1] == "running 4/4"
    assert [s for s in seen["states"] if s.startswith("running")] == ["running 4/4"]
    assert seen["states"][0].startswith("starting ")
    assert counts == sorted(counts)
    assert [e["state"] for e in seen["engines"]] == ["idle"] * 4


def test_tab__starts_and_stops_by_keyboard(tab):
    tab("keyboard")


def test_tab__keeps_the_focus_when_the_list_changes(tab):
    tab("focus")


def test_tab__shows_a_killed_engine_and_replaces_it(tab):
    tab("death")


def test_tab__says_where_engines_run_and_replaces_them(tab):
    assert len(tab("more")["engines"]) == 1


def test_tab__scales(tab):
    assert len(tab("scale")["engines"]) == 2


def test_tab__refuses_wrong_numbers_and_names(tab):
    tab("refusals")


def test_tab__lists_clusters_of_the_command_line(tab):
    tab("elsewhere")


def test_tab__stands_in_the_list_of_what_runs(tab):
    tab("running")


def test_tab__asks_before_it_stops_busy_engines(tab):
    tab("busy", python=sys.executable)


def test_tab__shows_logs_and_connects_a_notebook(tab):
    tab("useAndLog")


def test_tab__can_be_read_in_every_theme(tab):
    worst = tab("contrast", themes=THEMES)["worst"]
    assert sorted(worst) == sorted(THEMES)
    for theme, lowest in worst.items():
        assert lowest["ratio"] >= 4.5, (theme, lowest)


def test_tab__works_where_no_websocket_gets_through(tab):
    tab("polling")


def test_tab__does_what_the_settings_say(new_lab):
    settings = {"defaultEngines": 3, "confirmStop": "always", "statusBar": False}
    browse(new_lab(settings=settings), "tab.mjs", scenario="settings")


def test_tab__says_that_pxcluster_is_missing_and_finds_it_later(new_lab, tmp_path):
    link = tmp_path / "pxcluster"
    lab = new_lab(f"--ClusterServer.program={link}")
    program = {"real": str(BIN / "pxcluster"), "link": str(link)}
    browse(lab, "tab.mjs", scenario="missing", program=program)


def test_tab__says_why_engines_could_not_be_started(new_lab, tmp_path):
    broken = tmp_path / "pxcluster"
    broken.write_text(f'#!/bin/sh\nPYTHONHOME=/nonexistent exec {BIN}/pxcluster "$@"\n')
    broken.chmod(0o755)
    lab = new_lab(f"--ClusterServer.program={broken}")
    browse(lab, "tab.mjs", scenario="failing")


def test_tab__says_that_the_server_part_is_off(new_lab):
    lab = new_lab("--ServerApp.jpserver_extensions=pxparallel.server=False")
    browse(lab, "tab.mjs", scenario="disabled")


def test_tab__clusters_outlive_the_server_and_are_found_again(new_lab):
    first = new_lab()
    before = browse(first, "tab.mjs", scenario="progress")
    first.close()
    second = new_lab()
    after = browse(second, "tab.mjs", scenario="adopted")
    pids = [[e["pid"] for e in seen["engines"]] for seen in (before, after)]
    assert pids[0] == pids[1]
    assert wait_gone(pids[0], 2) == []
