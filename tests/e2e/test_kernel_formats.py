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
        values = [1, 2.5, True, None, "text", b"bytes", [1, "a"], (1,), {"a": 1}, {1}, 1j, -7,
        10**40,
                  "", "two\\nlines\\u2028\\x85'", "ünï\\ud800", b"\\xff\\n",
                  "x" * 200, float("nan")]
        for _ in range(2):
            assert all(quick.format(v) == slow.format(v) for v in values)
        print(type(quick) is not type(slow))
        """
    assert kernel.run(dedent(code)).ok().stdout == "True\n"


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


def test_formatters_of_another_kind_are_asked(kernel):
    code = """
        formatters = get_ipython().display_formatter.formatters
        class Foreign:
            format_type = "text/foreign"
            enabled = True
            def __call__(self, obj):
                return f"foreign {obj}"
        formatters["text/foreign"] = Foreign()
        display(5)
        del formatters["text/foreign"]
        display(6)
        """
    shown = [o["data"] for o in kernel.run(dedent(code)).ok().outputs]
    assert shown == [{"text/plain": "5", "text/foreign": "foreign 5"}, {"text/plain": "6"}]


def test_functions_registered_for_the_plain_text_of_plain_types_are_asked(kernel):
    code = """
        from IPython.lib import pretty
        text = get_ipython().display_formatter.formatters["text/plain"]
        display(5)
        text.for_type(int, lambda n, p, cycle: p.text(f"int {n}"))
        display(5, True)
        text.singleton_printers[id(True)] = lambda b, p, cycle: p.text("yes")
        display(True, False)
        text.for_type(str, lambda s, p, cycle: p.text("a text"))
        display("one", b"two")
        text.pop(int);
        """
    shown = [o["data"]["text/plain"] for o in kernel.run(dedent(code)).ok().outputs]
    assert shown == ["5", "int 5", "True", "yes", "False", "a text", "b'two'"]


def test_an_integer_with_too_many_digits_is_an_error_as_in_ipython(kernel):
    result = kernel.run("display(10**5000)\n10**5000")
    assert "Exceeds the limit" in f"{result.outputs} {result.reply['content']}"


def test_json_is_the_same_whoever_writes_it(kernel):
    """The encoder in C against Python's, and what it leaves to that."""
    code = """
        import json, math, random
        from pxkernel import _kernel, jsonpack
        texts = ["", "a", '"q"', "back\\\\slash", "\\x00\\x1f\\x7f\\x80", "ünï \\u2028",
        "\\U0001f600" * 9,
                 "line\\r\\n\\t\\b\\f", "x" * 100_000, "é" * 70_000]
        numbers = [0, -1, 2**63 - 1, -(2**63), 0.1, -0.0, 1e300, 5e-324, 1.0, 123456789.123, 1e16,
        1e22]
        rng = random.Random(5)
        numbers += [rng.uniform(-1, 1) * 10 ** rng.randrange(-30, 30) for _ in range(300)]
        trees = [None, True, False, [], {}, (), [[]], {"": {}}, texts, numbers,
                 {t: n for t, n in zip(texts, numbers)}, {"a": [1, (2, {"b": None})]}]
        for value in texts + numbers + trees:
            plain = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
            assert _kernel.encode(value) == plain == jsonpack.dumps(value), repr(value)[:80]
        deep = []
        for _ in range(500):
            deep = [deep]
        class Text(str): pass
        left = [math.nan, math.inf, 2**63, "\\ud800", {1: 2}, {"a": b"x"}, [{1}], Text("a"),
        {Text("k"): 1},
                deep, object()]
        assert all(_kernel.encode(value) is None for value in left)
        print(jsonpack.dumps(["\\ud800", math.nan, {1: b"x"}, 2**63]))
        """
    result = kernel.run(dedent(code)).ok()
    assert result.stdout == repr(b'["\\ud800","nan",{"1":"eA=="},9223372036854775808]') + "\n"


def test_base64_is_what_binascii_makes(kernel):
    code = """
        import binascii, os
        from IPython.core import display
        from pxkernel import _kernel
        assert display.b2a_base64 is _kernel.b2a_base64
        for size in [*range(20), 65535, 65536, 65537, 1_000_000]:
            data = os.urandom(size)
            for given in (data, bytearray(data), memoryview(data)):
                assert _kernel.b2a_base64(given) == binascii.b2a_base64(given)
                quick = _kernel.b2a_base64(given, newline=False)
                assert quick == binascii.b2a_base64(given, newline=False)
        for wrong in ("text", None, memoryview(b"abcd")[::2]):
            for function in (_kernel.b2a_base64, binascii.b2a_base64):
                try:
                    function(wrong)
                except (TypeError, BufferError, ValueError) as error:
                    print(type(error).__name__)
        """
    told = kernel.run(dedent(code)).ok().stdout.split()
    assert len(told) == 6 and told[::2] == told[1::2]


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
