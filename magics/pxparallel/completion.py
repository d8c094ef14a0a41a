"""Completion of what the engines know, in %px lines and %%px cells."""

from __future__ import annotations

import json
from typing import Any

PATIENCE = 1.0
"""Seconds that an engine may take to answer (its first completion imports jedi)."""


def code_for_engines(text: str, cursor: int, suffix: str) -> tuple[str, int] | None:
    """The part of a cell that goes to the engines, and the cursor in it; None if it is outside."""
    if text.startswith(f"%%px{suffix}"):
        start = text.find("\n") + 1
        return (text[start:], cursor - start) if 0 < start <= cursor else None
    start = text.rfind("\n", 0, cursor) + 1
    line = text[start:].partition("\n")[0]
    magic = f"%px{suffix} "
    indent = len(line) - len(line.lstrip())
    first = start + indent + len(magic)
    if line.lstrip().startswith(magic) and cursor >= first:
        return line[indent + len(magic) :], cursor - first
    return None


def ask_engine(view: Any, code: str, cursor: int) -> tuple[list[str], str]:
    """The first engine's completions, and the text that they replace."""
    ids, _ = view.client._build_targets(view.targets)
    content = json.dumps({"code": code, "cursor_pos": cursor}).encode()
    task = view.client._submit("complete_request", ids[:1], content)
    if not task.wait(PATIENCE):
        task.abandon()
        return [], ""
    answer = task.reply(0)["content"]
    if answer.get("status") != "ok":
        return [], ""
    return answer["matches"], code[answer["cursor_start"] : cursor]


def install(magics: Any) -> None:
    """Let the shell's completer ask the engines of these magics."""
    from IPython.core.completer import SimpleCompletion, context_matcher

    @context_matcher()
    def px_matcher(context: Any) -> Any:
        lines = context.full_text.split("\n")
        cursor = sum(len(line) + 1 for line in lines[: context.cursor_line])
        cursor += context.cursor_position
        found = code_for_engines(context.full_text, cursor, magics.suffix)
        if found is None or not magics.has_living_view():
            return {"completions": []}
        try:
            matches, fragment = ask_engine(magics.view, *found)
        except Exception:  # whatever is wrong with the cluster: typing goes on
            return {"completions": []}
        return {
            "completions": [SimpleCompletion(text=match, type="engine") for match in matches],
            "matched_fragment": fragment,
            "suppress": True,
        }

    completer = magics.shell.Completer
    name = f"px_matcher{magics.suffix}"
    px_matcher.matcher_identifier = name
    others = [
        matcher
        for matcher in completer.custom_matchers
        if getattr(matcher, "matcher_identifier", None) != name
    ]
    completer.custom_matchers = [*others, px_matcher]
