"""The examples of the guide's page on extending are complete: each passes its suite as it stands on the page."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]
_FILE = re.compile(r"<!-- file: (\S+) -->\n```\w+\n(.*?)^```$", re.DOTALL | re.MULTILINE)
FILES = dict(_FILE.findall((REPOSITORY / "docs" / "guide" / "extending.md").read_text(encoding="utf-8")))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the page's files, and the cache's package as if it were installed."""
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (group,) = tomllib.loads(FILES["entry_points.toml"])["project"]["entry-points"].items()
    installed = tmp_path / "kindred_files-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: kindred-files\nVersion: 1.0\n")
    lines = [f"{name} = {opener}" for name, opener in group[1].items()]
    (installed / "entry_points.txt").write_text("\n".join([f"[{group[0]}]", *lines, ""]))
    return tmp_path


def run(folder: Path, *words: str, **more: str) -> str:
    """Run Python in the folder of the examples; fail the test with what it said when it fails."""
    path = os.pathsep.join([str(folder), str(REPOSITORY / "src"), str(REPOSITORY)])
    kept = {key: value for key, value in os.environ.items() if not key.startswith("KINDRED_")}
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={**kept, "PYTHONPATH": path, **more},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


def test_the_examples_pass_their_suites(folder: Path) -> None:
    tests = sorted(name for name in FILES if name.startswith("test_"))
    assert tests == ["test_file_cache.py", "test_momentum.py", "test_top_rated.py"]
    said = run(
        folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "asyncio_mode=auto", "--rootdir", ".", *tests
    )
    passed = re.search(r"(\d+) passed", said)
    assert passed is not None
    assert int(passed[1]) >= 16, said


def test_the_example_adapter_is_found_by_its_scheme(folder: Path) -> None:
    home = folder / "home"
    code = (
        "import asyncio, pathlib\n"
        "from kindred.app.sections import StoresConfig\n"
        "from kindred.app.stores import open_stores\n"
        "async def main():\n"
        f"    stores = await open_stores(StoresConfig(cache='files:answers'), pathlib.Path({str(home)!r}))\n"
        "    await stores.cache.put('a', b'b', 60)\n"
        "    print(type(stores.cache).__module__)\n"
        "    await stores.close()\n"
        "asyncio.run(main())\n"
    )
    assert run(folder, "-c", code).strip() == "kindred_files.cache"
    assert len(list((home / "answers").iterdir())) == 1


def test_the_example_setting_can_be_used(folder: Path) -> None:
    """The variable on the page is a setting that the command line accepts."""
    said = run(
        folder, "-m", "kindred", "config", "show", "stores", "--changed", "--json",
        KINDRED_HOME=str(folder / "home"), KINDRED_STORES_CACHE="files:answers",
    )  # fmt: skip
    assert '"files:answers"' in said
