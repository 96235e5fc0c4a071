"""The house rules as functions: each takes parsed modules or files and returns its findings as text."""

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.architecture.tree import FunctionNode, Module, function_length, functions

MODULE_LINES = 600
FUNCTION_LINES = 60
PORT_METHODS = 7

_ROOM_NAMES = re.compile(r"^_?(utils?|commons?|helpers?|misc|stuff|.*_v\d+)$")
_PICKLES = {"pickle", "cPickle", "cloudpickle", "dill", "marshal", "shelve", "jsonpickle"}
_CALLS = {"eval", "exec", "os.system", "os.popen", "joblib.load", "joblib.dump"}
_UNDOCUMENTED = ("overload", "setter")
_FLAGS = {"allow_pickle", "shell"}
# Split so that this file does not find itself.
_LEFTOVERS = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "X" + "XX")) + r")\b")
_HOSTS = (r"pypi\." + "org", r"python" + r"hosted\.org", r"npmjs\." + "(org|com)", r"crates\." + "io",
          r"repo1?\.maven\." + "org", r"proxy\.golang\." + "org", r"deb\.debian\." + "org")  # fmt: skip
_FOREIGN = re.compile(
    r"(?<![\w.~$}/])/(work|root|opt/wheels|Users/\w+|home/\w+)/"
    r"|(?<![\w/.])(\.\./)?shared" + r"/(data|DESIGN|SEMANTICS|API|ENGINES|engines|hooks)\b|" + "|".join(_HOSTS)
)


def too_long(modules: Iterable[Module]) -> Iterator[str]:
    """Find modules and functions over the hard limits."""
    for module in modules:
        if module.lines > MODULE_LINES:
            yield f"{module.path}:1: {module.lines} lines (at most {MODULE_LINES})"
        for node in functions(module):
            if function_length(node) > FUNCTION_LINES:
                size = function_length(node)
                yield f"{module.at(node)}: {node.name} has {size} lines (at most {FUNCTION_LINES})"


def _public(name: str) -> bool:
    return not name.startswith("_")


def _decorated(node: FunctionNode, *names: str) -> bool:
    return any(ast.unparse(decorator).rpartition(".")[2] in names for decorator in node.decorator_list)


def _documentable(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[ast.ClassDef | FunctionNode, str]]:
    """Walk public classes, functions and methods, also below `if`; what is inside functions is private."""
    for node in body:
        if isinstance(node, ast.If | ast.Try):
            yield from _documentable([*node.body, *node.orelse], prefix)
        elif isinstance(node, ast.ClassDef) and _public(node.name):
            yield node, prefix + node.name
            yield from _documentable(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, FunctionNode) and _public(node.name) and not _decorated(node, *_UNDOCUMENTED):
            yield node, prefix + node.name


def undocumented(modules: Iterable[Module]) -> Iterator[str]:
    """Find modules and public names without a docstring."""
    for module in modules:
        if not ast.get_docstring(module.tree):
            yield f"{module.path}:1: module without a docstring"
        for node, name in _documentable(module.tree.body):
            if not ast.get_docstring(node):
                yield f"{module.at(node)}: {name} has no docstring"


def wide_ports(modules: Iterable[Module]) -> Iterator[str]:
    """Find Protocols with more methods of their own than a port may have; properties are not counted."""
    for module in modules:
        for node in ast.walk(module.tree):
            if not isinstance(node, ast.ClassDef) or not _is_protocol(node):
                continue
            own = [each for each in node.body if isinstance(each, FunctionNode)]
            names = {each.name for each in own if _public(each.name) and not _decorated(each, "property")}
            if len(names) > PORT_METHODS:
                yield f"{module.at(node)}: {node.name} has {len(names)} methods (at most {PORT_METHODS})"


def _is_protocol(node: ast.ClassDef) -> bool:
    return any(ast.unparse(base).partition("[")[0].rpartition(".")[2] == "Protocol" for base in node.bases)


def vague_names(paths: Iterable[Path]) -> Iterator[str]:
    """Find modules and rooms whose name says nothing of what they hold."""
    for path in paths:
        vague = [part for part in path.with_suffix("").parts if _ROOM_NAMES.match(part)]
        if vague:
            yield f"{path}: named {vague[0]!r}; name it by what it holds"


def unsafe_code(modules: Iterable[Module]) -> Iterator[str]:
    """Find pickles, evaluated text, shells, and unfinished methods."""
    for module in modules:
        for node in ast.walk(module.tree):
            found = _unsafe(node)
            if found:
                yield f"{module.at(node)}: {found}"


def _unsafe(node: ast.AST) -> str | None:
    if isinstance(node, ast.Import | ast.ImportFrom):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
        roots = {name.partition(".")[0] for name in names} & _PICKLES
        return f"imports {roots.pop()}" if roots else None
    if isinstance(node, ast.Call):
        if ast.unparse(node.func) in _CALLS:
            return f"calls {ast.unparse(node.func)}"
        for keyword in node.keywords:
            literal_false = isinstance(keyword.value, ast.Constant) and keyword.value.value is False
            if keyword.arg in _FLAGS and not literal_false:
                return f"passes {keyword.arg}"
    if isinstance(node, ast.Raise) and node.exc and "NotImplementedError" in ast.unparse(node.exc):
        return "raises NotImplementedError"
    return None


def leftovers(texts: Iterable[tuple[Path, str]]) -> Iterator[str]:
    """Find marks of unfinished work."""
    return _matches(texts, _LEFTOVERS)


def foreign_places(texts: Iterable[tuple[Path, str]]) -> Iterator[str]:
    """Find paths of one machine and addresses of package registries."""
    return _matches(texts, _FOREIGN)


def _matches(texts: Iterable[tuple[Path, str]], pattern: re.Pattern[str]) -> Iterator[str]:
    for path, text in texts:
        for number, line in enumerate(text.splitlines(), start=1):
            match = pattern.search(line)
            if match:
                yield f"{path}:{number}: {match.group(0)!r}"
