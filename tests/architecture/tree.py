"""Reading a source tree: its modules, parsed, and the files that the repository tracks."""

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCE = REPOSITORY / "src" / "kindred"

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """One parsed source file; `path` is as findings name it."""

    path: Path
    text: str
    tree: ast.Module

    @property
    def lines(self) -> int:
        """Number of lines of the file."""
        return len(self.text.splitlines())

    def at(self, node: ast.AST) -> str:
        """Name the place of a node as `path:line`."""
        return f"{self.path}:{getattr(node, 'lineno', 1)}"


def read_modules(root: Path) -> list[Module]:
    """Parse every Python file below root, in order of path."""
    texts = [(path, path.read_text(encoding="utf-8")) for path in sorted(root.rglob("*.py"))]
    return [Module(path.relative_to(root.parent), text, ast.parse(text, str(path))) for path, text in texts]


@cache
def source_modules() -> tuple[Module, ...]:
    """Parse the package's own modules, once."""
    return tuple(read_modules(SOURCE))


def functions(module: Module) -> Iterator[FunctionNode]:
    """Walk every function and method of a module, nested ones too."""
    return (node for node in ast.walk(module.tree) if isinstance(node, FunctionNode))


def function_length(node: FunctionNode) -> int:
    """Count a function's lines from `def` to its end, docstring included."""
    return (node.end_lineno or node.lineno) - node.lineno + 1


def tracked_texts(repository: Path) -> Iterator[tuple[Path, str]]:
    """Read every text file that git tracks or would add; binary files are passed over."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=repository,
        capture_output=True,
        check=True,
    )
    for name in sorted(set(listing.stdout.decode().split("\0"))):
        path = repository / name
        if name and path.is_file():
            try:
                yield Path(name), path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue
