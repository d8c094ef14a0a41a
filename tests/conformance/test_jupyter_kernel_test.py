"""Jupyter's own test suite for kernels, with every optional part filled in."""

import jupyter_kernel_test


class TestKernel(jupyter_kernel_test.KernelTests):
    """All of it: streams, results, displays, errors, completion, history, pager, …"""

    kernel_name = "pxkernel"
    language_name = "python"
    file_extension = ".py"

    code_hello_world = "print('hello, world')"
    code_stderr = "import sys; print('to stderr', file=sys.stderr)"
    code_page_something = "zip?"
    code_generate_error = "1 / 0"
    code_inspect_sample = "zip"
    code_clear_output = "from IPython.display import clear_output; clear_output()"

    completion_samples = [  # noqa: RUF012
        {"text": "zi", "matches": {"zip"}},
        {"text": "isinsta", "matches": {"isinstance"}},
        {"text": "import socke", "matches": {"socket", "socketserver"}},
        {"text": "%%wri", "matches": {"%%writefile"}},
    ]
    complete_code_samples = [  # noqa: RUF012
        "1",
        "print('hello, world')",
        "f(x)",
        "def f(x):\n    return x * 2\n\n\n",
        "%timeit 1",
    ]
    incomplete_code_samples = [  # noqa: RUF012
        "print('''hello",
        "def f(x):\n  x * 2",
        "for i in range(3):",
        "[1,",
        "%%timeit",
    ]
    invalid_code_samples = ["import = 7q", "a b c"]  # noqa: RUF012

    code_execute_result = [  # noqa: RUF012
        {"code": "1 + 2 + 3", "result": "6"},
        {"code": "[n * n for n in range(1, 4)]", "result": "[1, 4, 9]"},
        {
            "code": "from IPython.display import HTML; HTML('<b>bold</b>')",
            "mime": "text/html",
            "result": "<b>bold</b>",
        },
    ]
    code_display_data = [  # noqa: RUF012
        {
            "code": "from IPython.display import HTML, display; display(HTML('<b>test</b>'))",
            "mime": "text/html",
        },
        {
            "code": "from IPython.display import Math, display; display(Math('\\\\frac{1}{2}'))",
            "mime": "text/latex",
        },
        {
            "code": "from IPython.display import Image, display\n"
            "display(Image(data=b'\\x89PNG\\r\\n\\x1a\\n' + bytes(32), format='png'))",
            "mime": "image/png",
        },
    ]
    code_history_pattern = "1 + 2*"
    supported_history_operations = ("tail", "range", "search")


class TestWelcome(jupyter_kernel_test.IopubWelcomeTests):
    """Subscribers are welcomed (JEP 65)."""

    kernel_name = "pxkernel"
    support_iopub_welcome = True
