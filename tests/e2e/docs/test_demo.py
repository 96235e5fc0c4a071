"""The demo's output in the README is what the demo prints, but for numbers, titles and times."""

import re
from pathlib import Path

from tests.e2e.docs.pages import REPOSITORY
from tests.e2e.platform.server import kindred

_SHOWN = re.compile(r"<!-- the output of `COLUMNS=100 kindred demo --exit` -->\n```text\n(.*?)^```$", re.DOTALL | re.M)
_ROW = re.compile(r"^\s*(new|up|down|\+)?\s*\d+\s{2,}\S")


def structure(text: str) -> list[str]:
    """Return the headings, commands and column heads of the demo in order, without what differs from run to run."""
    found = []
    for line in text.splitlines():
        words = line.strip()
        if (
            not words
            or _ROW.match(line)
            or not re.match(r"(\d\. |\$ |title |User \d|A new user|The new user|What )", words)
        ):
            continue
        words = re.sub(r"http://\S+", "URL", words)
        words = words.partition(":")[0] if words.startswith("The new user") else words
        found.append(re.sub(r"\s+", " ", re.sub(r"\d+(\.\d+)?", "0", words)))
    return found


def test_the_readme_shows_the_real_demo(tmp_path: Path) -> None:
    shown = _SHOWN.search((REPOSITORY / "README.md").read_text(encoding="utf-8"))
    assert shown is not None
    # Only the structure is compared, so training need not hold rows back to measure.
    settings = {"COLUMNS": "100", "KINDRED_TRAINING_HOLDOUT_SHARE": "0"}
    done = kindred(tmp_path / "home", "demo", "--exit", "--port", "0", **settings)
    assert structure(shown[1]) == structure(done.stdout)
    assert len(structure(shown[1])) >= 14


def test_the_structure_is_told_apart() -> None:
    """A heading that goes or comes changes it, a time does not."""
    text = "1. The sample\n$ kindred train\n  1   A film (1999)   Action\nThe new user likes A: 3 ms after\n"
    assert structure(text) == ["0. The sample", "$ kindred train", "The new user likes A"]
    assert structure(text.replace("3 ms", "9 ms")) == structure(text)
    assert structure(text.replace("$ kindred train\n", "")) != structure(text)
