"""What values look like: the short ways of the kernel give what IPython gives."""

import base64
import hashlib
import json
import textwrap


def dedent(code):
    return textwrap.dedent(code).strip()


def test_plain_values_are_shown_as_ipython_shows_them(kernel):
    code = """
        from IPython.core.formatters import DisplayFormatter
        slow = DisplayFormatter()
        quick = get_ipython().display_formatter
        values = [1, 2.5, True, None, "text", b"bytes", [1, "a"], (1,), {"a": 1}, {1}, 1j]
        print(all(quick.format(v) == slow.format(v) for v in values), type(quick) is not type(slow))
        """
    assert kernel.run(dedent(code)).ok().stdout == "True True\n"


def test_functions_registered_for_plain_types_are_asked(kernel):
    code = """
        formatters = get_ipython().display_formatter.formatters
        formatters["text/html"].for_type(int, lambda n: f"<b>{n}</b>")
        display(5)
        display("no number")
        display(True)
        formatters["text/html"].pop(int)
        display(6)
        formatters["text/markdown"].for_type_by_name("builtins", "list", lambda v: "**list**")
        display([1])
        """
    shown = [o["data"] for o in kernel.run(dedent(code)).ok().outputs]
    assert shown[0] == {"text/plain": "5", "text/html": "<b>5</b>"}
    assert shown[1] == {"text/plain": "'no number'"}
    assert shown[2] == {"text/plain": "True", "text/html": "<b>True</b>"}
    assert shown[3] == {"text/plain": "6"}
    assert shown[4] == {"text/plain": "[1]", "text/markdown": "**list**"}


def test_long_texts_arrive_as_they_are(kernel):
    code = """
        from IPython.display import display
        parts = ['"quoted"', "back\\\\slash", "tab\\t", "nul\\0", "ünï", "\\U0001f600", "\\x7f"]
        text = "".join(p * 3 + "x" * k for k in range(40) for p in parts) * 40
        display({"text/html": text, "text/plain": "short"}, raw=True)
        display({"text/html": text}, raw=True, metadata={"text/html": {"isolated": True}})
        import json; print(json.dumps(text))
        """
    result = kernel.run(dedent(code)).ok()
    first, second, *rest = result.outputs
    text = json.loads("".join(o["text"] for o in rest))
    assert len(text) > 1 << 16
    assert first["data"] == {"text/html": text, "text/plain": "short"}
    assert second["data"] == {"text/html": text}
    assert second["metadata"] == {"text/html": {"isolated": True}}


def test_a_large_image_arrives_whole(kernel):
    code = """
        import base64, os
        from IPython.display import Image
        data = b"\\x89PNG\\r\\n\\x1a\\n" + os.urandom(3_000_000)
        display(Image(data=data, format="png"))
        import hashlib; hashlib.sha256(data).hexdigest()
        """
    result = kernel.run(dedent(code)).ok()
    image = base64.b64decode(result.outputs[0]["data"]["image/png"])
    assert repr(hashlib.sha256(image).hexdigest()) == result.value
