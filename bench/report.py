"""The table of results, and which targets are missed."""

from __future__ import annotations

import statistics
from collections.abc import Mapping

from targets import Target

Samples = Mapping[str, Mapping[str, list[float]]]


def number(value: float) -> str:
    """Three digits that matter."""
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"


def more_is_better(figure: str) -> bool:
    """Rates."""
    return figure.endswith(("per s", "/s"))


def best(figure: str, medians: Mapping[str, float], ours: str) -> str | None:
    """The peer that is ahead of the others."""
    peers = {name: value for name, value in medians.items() if name != ours}
    if not peers:
        return None
    return (max if more_is_better(figure) else min)(peers, key=peers.__getitem__)


def ratio(ours: float, theirs: float) -> str:
    """Ours as a multiple of theirs."""
    return f"{ours / theirs:.2g}" if theirs else ""


def table(samples: Samples, ours: str, main: str, targets: Mapping[str, list[Target]]) -> list[str]:
    """Markdown: a row for each figure, a column for each system, the ratios of ours to the main
    peer's and to the best peer's, the target and whether it is met."""
    systems = list(dict.fromkeys(name for of in samples.values() for name in of))
    systems.sort(key=lambda name: (name != ours, name != main))
    rest = ["ours : " + main, "ours : best peer", "target", "met"]
    heads = ["median, ms if nothing else is said", *systems, *rest]
    rows = [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
    for figure, of in samples.items():
        medians = {name: statistics.median(values) for name, values in of.items()}
        cells = [figure, *(number(medians[n]) if n in medians else "" for n in systems)]
        mine = medians.get(ours)
        first = best(figure, medians, ours)
        cells.append(ratio(mine, medians[main]) if mine is not None and main in medians else "")
        if mine is not None and first is not None:
            cells.append(f"{ratio(mine, medians[first])} ({first})".strip())
        else:
            cells.append("")
        wanted = targets.get(figure, [])
        cells.append(", ".join(map(str, wanted)))
        verdicts = [t.met(mine, medians) for t in wanted] if mine is not None else []
        cells.append(verdict(verdicts))
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def verdict(met: list[bool | None]) -> str:
    """One word for all targets of a figure."""
    if not met:
        return ""
    if False in met:
        return "**no**"
    return "yes" if None not in met else "no peer to compare with"


def missed(
    samples: Samples, ours: str, targets: Mapping[str, list[Target]], whole: bool
) -> list[str]:
    """A line for each target that is missed and, of a whole run, for each that was not measured."""
    lines = []
    for figure, wanted in targets.items():
        of = samples.get(figure, {})
        if ours not in of:
            if whole:
                lines.append(f"- {figure}: not measured in this run")
            continue
        medians = {name: statistics.median(values) for name, values in of.items()}
        for target in wanted:
            if target.met(medians[ours], medians) is False:
                against = f" ({number(medians[target.of])})" if target.of else ""
                lines.append(f"- {figure}: {number(medians[ours])}, target {target}{against}")
    return lines or ["- none"]
