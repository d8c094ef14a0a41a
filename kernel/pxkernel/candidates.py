"""What jedi would complete, without jedi: attributes of objects that are there already.

jedi takes a second for its import and its first answer, and a fifth of a second for later ones; a
front end gives up after one. But for ``name.attr.prefix``, where the name is one of the namespace,
its answer is what ``dir()`` of the object says, in an order of its own, and that is quickly told
(``attributes``). For a name alone it is what the namespace has, and what jedi has everywhere, which
it is asked once (``names``). Everything else is jedi's: an expression with a call in it, a name
that the cell itself binds, a class's own dunders.

Until jedi is there (``Jedi`` loads it while the kernel is idle, once somebody has completed
anything), what it would be asked is answered by IPython's own matchers (``known``), which know the
namespace, builtins and keywords.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import importlib
import inspect
import io
import keyword
import re
import sys
import threading
import tokenize
from collections.abc import Callable, Iterator
from itertools import pairwise
from types import ModuleType, SimpleNamespace
from typing import Any

_BINDING = frozenset({"for", "lambda", "def", "class", "as", "import", "from", "global", "del"})
_AFTER_A_USE = frozenset({".", "(", "[", ")", "]", "+", "-", "*", "/", ";"})
_DUNDERS_DIFFER = (type, type(len), type(str.lower), type("".lower), type(object.__init__))
_BEFORE_A_NAME = frozenset(
    {"in", "not", "and", "or", "if", "elif", "else", "while", "return", "is", "await", "assert"}
)
_SIMPLE = (ast.Expr, ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Import, ast.ImportFrom, ast.Pass)
_BETWEEN = (tokenize.NL, tokenize.ENDMARKER, tokenize.INDENT, tokenize.DEDENT)
_QUIET = threading.Event()  # never set
_QUIET_SECONDS = 0.05
_MODULES = [
    "parso.utils",
    "parso.tree",
    "parso.pgen2",
    "parso.python.token",
    "parso.python.tokenize",
    "parso.parser",
    "parso.python.parser",
    "parso.python.tree",
    "parso.python.errors",
    "parso.python.diff",
    "parso.grammar",
    "parso.cache",
    "parso",
    "jedi.settings",
    "jedi.debug",
    "jedi.parser_utils",
    "jedi.cache",
    "jedi.file_io",
    "jedi.inference.names",
    "jedi.inference.base_value",
    "jedi.inference.compiled.access",
    "jedi.inference.compiled.value",
    "jedi.inference.filters",
    "jedi.inference.value",
    "jedi.inference.gradual.typing",
    "jedi.inference.syntax_tree",
    "jedi.plugins.stdlib",
    "jedi.inference",
    "jedi.api.helpers",
    "jedi.api.completion",
    "jedi.api.environment",
    "jedi.api.project",
    "jedi.api.classes",
    "jedi.api.interpreter",
    "jedi.api",
    "jedi",
]


class Candidate:
    """One match, with what IPython asks of jedi's."""

    __slots__ = ("_owner", "complete", "name", "name_with_symbols")

    def __init__(self, name: str, typed: str, owner: Any = None) -> None:
        self.name = self.name_with_symbols = name
        self.complete = name[len(typed) :]
        self._owner = owner

    @property
    def type(self) -> str:
        """keyword, module, class, function or instance."""
        if self._owner is None and keyword.iskeyword(self.name):
            return "keyword"
        value = inspect.getattr_static(self._owner, self.name, None)
        if isinstance(value, ModuleType):
            return "module"
        if isinstance(value, type):
            return "class"
        if callable(value) or isinstance(value, classmethod | staticmethod):
            return "function"
        return "instance"

    def get_signatures(self) -> list[Signature]:
        """The one signature that can be read off the function; none when there is none."""
        try:
            function = getattr(self._owner, self.name)
            signature = inspect.signature(function)
            arguments = signature.replace(return_annotation=inspect.Signature.empty)
            return [Signature(f"{self.name}{arguments}")]
        except Exception:  # of C without a text signature, or whatever a descriptor raises
            return []


class Signature:
    """The text of one."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def to_string(self) -> str:
        """``name(arguments)``."""
        return self.text


# --- the expression under the cursor --------------------------------------------------------------
def _tokens(text: str, lines: bool = False) -> list[tokenize.TokenInfo] | None:
    """The tokens of ``text``, as far as it goes, with ``lines`` also the ends of logical lines;
    None inside a string."""
    tokens = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            tokens.append(token)
    except tokenize.TokenError as error:
        if "string" in str(error):
            return None
    except (SyntaxError, IndentationError):
        return None
    skipped = _BETWEEN if lines else (*_BETWEEN, tokenize.NEWLINE)
    return [token for token in tokens if token.type not in skipped]


def _chain(line: str) -> tuple[list[str], list[tokenize.TokenInfo]] | None:
    """``["os", "path", "jo"]`` of a line that ends in ``os.path.jo``, and the tokens before it."""
    tokens = _tokens(line)
    if not tokens or tokens[-1].end[1] != len(line):
        return None
    if any(token.type in (tokenize.ERRORTOKEN, tokenize.COMMENT) for token in tokens):
        return None
    parts: list[str] = [""] if tokens[-1].string == "." else []
    expects_name = not parts
    while tokens:
        token = tokens[-1]
        if expects_name:
            if token.type != tokenize.NAME or keyword.iskeyword(token.string):
                return None
            parts.insert(0, token.string)
        elif token.string != ".":
            break
        expects_name = not expects_name
        tokens.pop()
    return None if expects_name or len(parts) < 2 else (parts, tokens)


def _binds(code: str, name: str) -> bool:
    """Whether ``code`` gives ``name`` a meaning of its own, or cannot be read."""
    try:
        tree = ast.parse(_without_magics(code))
    except (SyntaxError, ValueError, RecursionError):
        return True
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            if node.id == name and not isinstance(node.ctx, ast.Load):
                return True
        elif (
            name in (getattr(node, "name", None), getattr(node, "asname", None))
            or (isinstance(node, ast.arg) and node.arg == name)
            or (isinstance(node, ast.alias) and node.name.partition(".")[0] in (name, "*"))
        ):
            return True
    return False


def _is_plain_use(before: list[tokenize.TokenInfo], name: str) -> bool:
    """Whether what stands in the line before the expression leaves ``name`` what it is."""
    if any(token.string in _BINDING for token in before):
        return False
    strings = [token.string for token in before]
    return all(after in _AFTER_A_USE for at, after in pairwise([*strings, ""]) if at == name)


def _resolve(root: Any, names: list[str]) -> tuple[bool, Any]:
    """The object that the chain leads to. Properties are read, as jedi reads them; what only
    ``__getattr__`` knows is left to it."""
    value = root
    for name in names:
        try:
            inspect.getattr_static(value, name)
        except AttributeError:
            return False, None
        try:
            value = getattr(value, name)
        except Exception:
            return False, None
    return True, value


def attributes(
    namespaces: list[dict[str, Any]], text: str, line: str, omit_names: int
) -> list[Candidate] | None:
    """jedi's answer for ``text``, whose last line up to the cursor is ``line``. None: it must be
    asked itself."""
    if "." not in line:
        return None
    found = _chain(line)
    if found is None:
        return None
    (root, *middle, typed), before = found
    indent = line[: len(line) - len(line.lstrip())]
    if not _is_plain_use(before, root) or _binds(
        f"{text[: len(text) - len(line)]}{indent}pass", root
    ):
        return None
    for namespace in namespaces:
        if root in namespace:
            known, owner = _resolve(namespace[root], middle)
            break
    else:
        return None
    if not known or (isinstance(owner, _DUNDERS_DIFFER) and typed.startswith("_")):
        return None
    return _matching(owner, typed, omit_names)


def _order(name: str) -> tuple[bool, bool, str]:
    return name.startswith("__"), name.startswith("_"), name.lower()


def _matching(owner: Any, typed: str, omit_names: int) -> list[Candidate] | None:
    try:
        names = {name for name in dir(owner) if isinstance(name, str)}
    except Exception:
        return None
    if isinstance(owner, type):
        if type(owner) is not type:
            return None
        names.add("mro")
    omitted = () if typed else ((), ("__",), ("_",))[omit_names]
    chosen = [
        name
        for name in sorted(names)
        if name.startswith(typed)
        and not (omitted and name.startswith(omitted) and (omit_names == 2 or name.endswith("__")))
    ]
    chosen.sort(key=_order)
    return [Candidate(name, typed, owner) for name in chosen]


# --- names alone ----------------------------------------------------------------------------------
def _without_magics(text: str) -> str:
    lines = text.split("\n")
    return "\n".join("" if line.lstrip().startswith(("%", "!")) else line for line in lines)


def _in_a_call(tokens: list[tokenize.TokenInfo]) -> bool:
    """Whether a bracket is open behind them that is a call's or a subscript's."""
    stack = []
    before = ""
    for token in tokens:
        if token.string in ("(", "[", "{"):
            value = before.isidentifier() and not keyword.iskeyword(before)
            stack.append(value or before[-1:] in (")", "]", "}", "'", '"'))
        elif token.string in (")", "]", "}") and stack:
            stack.pop()
        before = token.string
    return any(stack)


def _may_stand_alone(tokens: list[tokenize.TokenInfo], column: int, code: str) -> tuple[bool, bool]:
    """Whether a name behind ``tokens`` may be any name; and whether it may be any keyword that
    begins a statement: when it is the cell's first word, or follows a simple statement."""
    if any(token.type == tokenize.ERRORTOKEN for token in tokens) or _in_a_call(tokens):
        return False, False
    last = tokens[-1] if tokens else None
    if last is None or last.type == tokenize.NEWLINE:
        try:
            statements = ast.parse(code).body if column == 0 else []
        except (SyntaxError, ValueError, RecursionError):
            return True, False
        return True, column == 0 and (not statements or isinstance(statements[-1], _SIMPLE))
    if last.type == tokenize.NAME:
        return last.string in _BEFORE_A_NAME, False
    return last.type == tokenize.OP and last.string not in (".", "@", "->"), False


def names(
    everywhere: frozenset[str], namespaces: list[dict[str, Any]], text: str, before: str
) -> list[Candidate] | None:
    """jedi's answer for the name at the end of ``before``, with which the cell ``text`` begins.
    ``everywhere``: what it finds in an empty cell. None: it must be asked itself."""
    found = re.search(r"[^\W\d]\w*$", before)
    rest = text[len(before) :]
    if found is None or re.match(r"\w", rest) or before[: found.start()].endswith((".", "%", "!")):
        return None
    typed, line = found.group(), before.rpartition("\n")[2]
    code = _without_magics(before[: found.start()])
    tokens = _tokens(_without_magics(before), lines=True)
    if not tokens or line.lstrip().startswith(("%", "!")):
        return None
    while tokens and tokens[-1].type == tokenize.NEWLINE:
        tokens.pop()  # tokenize ends the line that is being written
    if not tokens or tokens[-1].type != tokenize.NAME or tokens[-1].string != typed:
        return None
    tokens = [token for token in tokens[:-1] if token.type != tokenize.COMMENT]
    any_name, any_keyword = _may_stand_alone(tokens, len(line) - len(typed), code)
    if typed.startswith("_") and any(token.string == "class" for token in tokens):
        return None  # a class has more of these
    if not any_name or (not any_keyword and any(k.startswith(typed) for k in keyword.kwlist)):
        return None
    chosen = {name for name in everywhere if name.startswith(typed)}
    values: dict[str, Any] = {}
    for namespace in reversed(namespaces):
        for name in list(namespace):
            if isinstance(name, str) and name.startswith(typed):
                values[name] = namespace[name]
    chosen.update(values)
    others = re.findall(r"\w+", f"{before[: found.start()]} {rest}")
    if any(word.startswith(typed) and word not in chosen for word in others):
        return None  # the cell's own text may bind it
    order = sorted(sorted(chosen), key=_order)
    return [Candidate(name, typed, _owner_of(name, values)) for name in order]


def _owner_of(name: str, values: dict[str, Any]) -> Any:
    if name in values:
        return SimpleNamespace(**{name: values[name]})
    return None if keyword.iskeyword(name) else builtins


# --- before jedi is there -------------------------------------------------------------------------
def _imported(text: str, line: str, fragment: str) -> list[Candidate] | None:
    """Attributes of a module that ``text`` imports and that is loaded; None: it is no such one."""
    root, *middle = fragment.split(".")
    try:
        tree = ast.parse(_without_magics(text[: len(text) - len(line)]))
    except (SyntaxError, ValueError, RecursionError):
        return None
    imports = (node for node in ast.walk(tree) if isinstance(node, ast.Import))
    for alias in (alias for node in imports for alias in node.names):
        name = alias.name if alias.asname else alias.name.partition(".")[0]
        if (alias.asname or name) == root and name in sys.modules:
            known, owner = _resolve(sys.modules[name], middle[:-1])
            return _matching(owner, middle[-1], 2) if known else None
    return None


def known(completer: Any, text: str, line: str) -> Iterator[Candidate]:
    """What IPython's own matchers find for the name or attribute at the end of ``line``, the last
    one of ``text``; and what the text's imports mean."""
    at = len(line)
    while at > 0 and (line[at - 1].isalnum() or line[at - 1] in "_."):
        at -= 1
    fragment = line[at:]
    if "." in fragment:
        imported = _imported(text, line, fragment)
        if imported is not None:
            yield from imported
            return
        found = completer.attr_matches(fragment)
    else:
        found = completer.global_matches(fragment) if fragment else []
    typed = fragment.rpartition(".")[2]
    seen = set()
    for match in [*completer.python_func_kw_matches(fragment), *found]:
        name = match.rpartition(".")[2]
        if name.startswith(typed) and name not in seen:
            seen.add(name)
            yield Candidate(name, typed)


class Jedi:
    """Loads jedi when somebody has completed: on a thread of its own, between cells, in steps that
    a cell need not wait for long."""

    def __init__(self, is_busy: Callable[[], bool]) -> None:
        self.is_busy = is_busy
        self.ready = "jedi.api" in sys.modules  # a cell has imported it
        self._wanted = False
        self.names: frozenset[str] = frozenset()  # that it finds in any cell
        self._steps = iter(self._load_in_steps())
        self._lock = threading.Lock()

    def want(self) -> None:
        """Somebody completes: have it loaded as soon as no cell runs."""
        self._wanted = True
        self.go_on()

    def go_on(self) -> None:
        """No cell runs now: load, if it is wanted and not there."""
        if self._wanted and not self.ready and not self._lock.locked():
            thread = threading.Thread(target=self._load, name="px-jedi", daemon=True)
            thread.pydev_do_not_trace = True  # type: ignore[attr-defined]
            thread.is_pydev_daemon_thread = True  # type: ignore[attr-defined]
            thread.start()

    def _load(self) -> None:
        if not self._lock.acquire(blocking=False):
            return
        try:
            _QUIET.wait(_QUIET_SECONDS)  # the request that is being served ends, the next one comes
            for _ in self._steps:
                if self.is_busy():
                    return  # until the next go_on
            self.ready = True
        except Exception:
            self.ready = True  # jedi cannot be loaded: whoever asks it will see why
        finally:
            self._lock.release()

    def _load_in_steps(self) -> Iterator[None]:
        for name in _MODULES:
            with contextlib.suppress(ImportError):  # another version of jedi has other modules
                importlib.import_module(name)
            yield
        completer = importlib.import_module("IPython.core.completer")
        get = getattr(completer, "_get_jedi", None)
        jedi = get() if get is not None else importlib.import_module("jedi")
        _mend_cache()
        yield
        self.names = frozenset(one.name for one in jedi.Interpreter("", [{}]).complete())
        yield
        for code in ("x = ''\nx.", "[].", "{}.", "print("):
            jedi.Interpreter(code, [{}]).complete()
            yield


def _mend_cache() -> None:
    """jedi keeps parsed files on disk, and writes them in place. One that was cut short, as a
    process ended meanwhile, would fail each completion from then on: it counts as absent."""
    cache = sys.modules.get("parso.cache")
    load = getattr(cache, "_load_from_file_system", None)

    def load_or_none(*args: Any, **options: Any) -> Any:
        try:
            return load(*args, **options)
        except Exception:
            return None

    if load is not None:
        cache._load_from_file_system = load_or_none  # type: ignore[union-attr]
