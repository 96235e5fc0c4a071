"""Every gate of the house turns red on a violation, tried on small trees."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture import rules
from tests.architecture.cycles import find_cycle
from tests.architecture.tree import REPOSITORY, SOURCE, Module, tracked_texts


def _module(text: str) -> Module:
    return Module(Path("kindred/core/planted.py"), text, ast.parse(text))


def _function(lines: int) -> str:
    return '"""Doc."""\n\n\ndef long_one():\n' + '    """Doc."""\n' + "    x = 1\n" * (lines - 2)


def test_over_long_function_is_found_and_one_at_the_limit_is_not() -> None:
    assert list(rules.too_long([_module(_function(61))])) == [
        "kindred/core/planted.py:4: long_one has 61 lines (at most 60)"
    ]
    assert not list(rules.too_long([_module(_function(60))]))


def test_over_long_module_is_found_and_one_at_the_limit_is_not() -> None:
    assert list(rules.too_long([_module("x = 1\n" * 601)])) == ["kindred/core/planted.py:1: 601 lines (at most 600)"]
    assert not list(rules.too_long([_module("x = 1\n" * 600)]))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("x = 1", "module"),
        ('"""Doc."""\ndef fit(): ...', "fit"),
        ('"""Doc."""\nasync def read(): ...', "read"),
        ('"""Doc."""\nclass Store: ...', "Store"),
        ('"""Doc."""\nclass Store:\n    """Doc."""\n    def get(self): ...', "Store.get"),
        ('"""Doc."""\nif True:\n    def fit(): ...', "fit"),
    ],
)
def test_undocumented_name_is_found(text: str, name: str) -> None:
    (found,) = rules.undocumented([_module(text)])
    assert f" {name} " in found


def test_private_names_need_no_docstring() -> None:
    text = '"""Doc."""\ndef _fit(): ...\nclass _Store:\n    def get(self): ...\n'
    assert not list(rules.undocumented([_module(text)]))


def test_wide_port_is_found_and_one_at_the_limit_is_not() -> None:
    def port(count: int) -> Module:
        methods = "".join(f"    async def m{n}(self): ...\n" for n in range(count))
        return _module(f"class Store(Protocol):\n    @property\n    def capabilities(self): ...\n{methods}")

    (found,) = rules.wide_ports([port(8)])
    assert "Store has 8 methods (at most 7)" in found
    assert not list(rules.wide_ports([port(7)]))


@pytest.mark.parametrize("path", ["utils.py", "core/common/x.py", "core/helpers.py", "core/als_v2.py", "misc.py"])
def test_vague_name_is_found(path: str) -> None:
    assert list(rules.vague_names([Path(path)]))


def test_telling_names_pass() -> None:
    assert not list(rules.vague_names([Path("core/errors.py"), Path("api/v1/track.py")]))


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from cloudpickle import dumps",
        "eval('1')",
        "exec(text)",
        "np.load(path, allow_pickle=True)",
        "run(command, shell=wanted)",
        "os.system('ls')",
        "raise NotImplementedError",
        "raise NotImplementedError('later')",
    ],
)
def test_unsafe_line_is_found(line: str) -> None:
    assert len(list(rules.unsafe_code([_module(line)]))) == 1


def test_safe_lines_pass() -> None:
    text = "np.load(path, allow_pickle=False)\nrun(command)\nmodel.eval()\n"
    assert not list(rules.unsafe_code([_module(text)]))


def test_leftover_is_found() -> None:
    texts = [(Path("a.py"), "x = 1\n# " + "TO" + "DO: later\n"), (Path("b.py"), "todos = []")]
    assert [found.partition(": ")[0] for found in rules.leftovers(texts)] == ["a.py:2"]


@pytest.mark.parametrize("text", ["open('/ro" + "ot/x')", "see sha" + "red/DESIGN.md", "https://py" + "pi.org/simple"])
def test_foreign_place_is_found(text: str) -> None:
    assert list(rules.foreign_places([(Path("a.md"), text)]))


def test_tracked_texts_reads_new_files_and_leaves_ignored_and_binary_ones(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    (tmp_path / ".gitignore").write_text("ignored.txt\n")
    (tmp_path / "ignored.txt").write_text("x")
    (tmp_path / "binary.bin").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "new.py").write_text("x = 1\n")
    assert dict(tracked_texts(tmp_path)) == {Path(".gitignore"): "ignored.txt\n", Path("new.py"): "x = 1\n"}


def test_import_cycle_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "planted_cycle"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "first.py").write_text("from planted_cycle import second\n")
    (package / "second.py").write_text("def late():\n    from planted_cycle import first\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert {"planted_cycle.first", "planted_cycle.second"} == set(find_cycle("planted_cycle"))
    (package / "second.py").write_text("")
    assert find_cycle("planted_cycle") == []


PLANTED = {
    "core/planted.py": "import kindred.ports.planted",
    "ports/planted.py": "import lmdb",
    "models/planted.py": "import sklearn\nimport onnxruntime",
    "training/planted.py": "import torch",
    "evaluation/planted.py": "import polars",
    "pipeline/planted.py": "import litestar",
    "recommend/first/planted.py": "import kindred.recommend.second.planted",
    "recommend/second/planted.py": "import kindred.recommend.first.planted",
    "adapters/first/planted.py": "import kindred.adapters.second.planted\nimport kindred.models.planted",
    "adapters/second/planted.py": "",
    "testing/planted.py": "import kindred.recommend.first.planted",
    "undeclared/planted.py": "",
}


def _plant(root: Path) -> None:
    """Copy the tree's Python files below root and add the violating modules."""
    shutil.copy(REPOSITORY / "pyproject.toml", root)
    package = root / "src" / "kindred"
    shutil.copytree(SOURCE, package, ignore=shutil.ignore_patterns("__pycache__", "ml-latest-small"))
    for name, text in PLANTED.items():
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
        for folder in path.relative_to(package).parents:
            (package / folder / "__init__.py").touch()


def test_every_import_contract_breaks_on_a_planted_line(tmp_path: Path) -> None:
    _plant(tmp_path)
    lint = [str(Path(sys.executable).with_name("lint-imports")), "--no-logo", "--no-cache"]
    environment = {"PYTHONPATH": str(tmp_path / "src"), "PATH": "", "COLUMNS": "200"}
    result = subprocess.run(lint, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode != 0
    assert "KEPT" not in result.stdout, result.stdout
    assert result.stdout.count("BROKEN") >= 10, result.stdout + result.stderr
    assert "kindred.core.planted -> kindred.ports.planted" in result.stdout
    assert "undeclared" in result.stdout
