"""Answers about code that does not run: completion, inspection, completeness, history."""

from __future__ import annotations

from typing import Any

_TYPES = "_jupyter_types_experimental"
# What do_history takes, as in the protocol.
_HISTORY = ("session", "start", "stop", "n", "pattern", "unique")


def complete(shell: Any, code: str, cursor_pos: int | None) -> dict[str, Any]:
    """Content of complete_reply. Cursor positions count code points."""
    from IPython.core.completer import provisionalcompleter, rectify_completions

    if cursor_pos is None or not 0 <= cursor_pos <= len(code):
        cursor_pos = len(code)
    prepare(shell.Completer, shell.kernel)
    with provisionalcompleter():
        found = list(rectify_completions(code, shell.Completer.completions(code, cursor_pos)))
    types = [
        {
            "start": one.start,
            "end": one.end,
            "text": one.text,
            "type": one.type,
            "signature": one.signature,
        }
        for one in found
    ]
    return {
        "matches": [one.text for one in found],
        "cursor_start": found[0].start if found else cursor_pos,
        "cursor_end": found[0].end if found else cursor_pos,
        "metadata": {_TYPES: types},
        "status": "ok",
    }


def prepare(completer: Any, kernel: Any) -> None:
    """Have ``completer`` look before it asks jedi: see ``candidates``."""
    if "_jedi_matches" in vars(completer) or not hasattr(completer, "_jedi_matches"):
        return
    from pxkernel import candidates

    jedi_matches = completer._jedi_matches
    loader = kernel.jedi

    def matches(cursor_column: int, cursor_line: int, text: str) -> Any:
        lines = text.split("\n")
        line = lines[cursor_line][:cursor_column]
        before = "\n".join([*lines[:cursor_line], line])
        namespaces = [completer.namespace, completer.global_namespace or {}]
        found = candidates.attributes(namespaces, before, line, completer.omit__names)
        if found is None and loader.names:
            found = candidates.names(loader.names, namespaces, text, before)
        if found is not None:
            return iter(found)
        if loader.ready:
            return jedi_matches(cursor_column, cursor_line, text)
        return candidates.known(completer, before, line)

    completer._jedi_matches = matches


def inspect(shell: Any, content: dict[str, Any]) -> dict[str, Any]:
    """Content of inspect_reply; not finding anything is no error."""
    from IPython.utils.tokenutil import token_at_cursor

    code = content["code"]
    name = token_at_cursor(code, content.get("cursor_pos", len(code)))
    answer: dict[str, Any] = {"status": "ok", "found": False, "data": {}, "metadata": {}}
    try:
        data = dict(
            shell.object_inspect_mime(
                name,
                detail_level=content.get("detail_level", 0),
                omit_sections=set(content.get("omit_sections", ())),
            )
        )
    except KeyError:
        return answer
    if not shell.enable_html_pager:
        data.pop("text/html", None)
    answer.update(found=True, data=data)
    return answer


def is_complete(shell: Any, code: str) -> dict[str, Any]:
    """Content of is_complete_reply."""
    status, indent = shell.input_transformer_manager.check_complete(code)
    answer = {"status": status}
    if status == "incomplete":
        answer["indent"] = " " * (indent or 0)
    return answer


def history(shell: Any, content: dict[str, Any]) -> dict[str, Any]:
    """Content of history_reply, from IPython's database and the running session."""
    manager = shell.history_manager
    kind = content.get("hist_access_type")
    raw, output = content.get("raw", True), content.get("output", False)
    asked = {key: content[key] for key in _HISTORY if key in content}
    lines: Any = []
    if kind == "tail":
        lines = manager.get_tail(asked.get("n"), raw=raw, output=output, include_latest=True)
    elif kind == "range":
        session = asked.get("session", 0)
        lines = manager.get_range(session, asked.get("start", 0), asked.get("stop"), raw, output)
        if session > 0:  # IPython says 0 for the running session, also when asked by number
            lines = [(session, *line[1:]) for line in lines]
    elif kind == "search":
        lines = manager.search(
            asked.get("pattern") or "*",
            raw=raw,
            output=output,
            n=asked.get("n"),
            unique=asked.get("unique", False),
        )
    return {"status": "ok", "history": list(lines)}
