"""The pages of the documentation, and what they tell a reader to type."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[3]
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs" / "guide").glob("*.md"))]

_BLOCK = re.compile(
    r"(?:<!-- (?P<mark>not run|background|fails)(?:: [^>]*)? -->\n)?```console\n(?P<body>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)


@dataclass
class Command:
    """One command of a page, what it is said to print, and how it is run."""

    line: int
    text: str
    mark: str = ""
    output: list[str] = field(default_factory=list)

    @property
    def answer(self) -> Any:
        """Return the JSON that the page shows as its output, or None where it shows none."""
        said = "\n".join(self.output).strip()
        return json.loads(said) if said.startswith("{") else None


def commands(page: Path) -> list[Command]:
    """Return the commands of a page in order; `> ` continues one, other lines are its output."""
    text = page.read_text(encoding="utf-8")
    found: list[Command] = []
    for block in _BLOCK.finditer(text):
        line = text.count("\n", 0, block.start("body")) + 1
        for offset, row in enumerate(block["body"].splitlines()):
            if row.startswith("$ "):
                found.append(Command(line + offset, row[2:], block["mark"] or ""))
            elif row.startswith("> "):
                found[-1].text += "\n" + row[2:]
            else:
                found[-1].output.append(row)
    return found


def missing(shown: Any, real: Any, at: str = "") -> list[str]:
    """Return where an answer lacks what a page shows: its keys, and the kinds of their values; `null` fits anything."""
    if shown is None or real is None:
        return []
    if isinstance(shown, dict) and isinstance(real, dict):
        absent = [f"{at}/{key}" for key in shown if key not in real]
        return absent + [each for key in shown if key in real for each in missing(shown[key], real[key], f"{at}/{key}")]
    if isinstance(shown, list) and isinstance(real, list):
        if shown and not real:
            return [f"{at}: is empty"]
        return [each for one in shown for each in missing(one, real[0], f"{at}/0")]
    number = (int, float)
    if isinstance(shown, number) and isinstance(real, number):
        return []
    return [] if type(shown) is type(real) else [f"{at}: is {type(real).__name__}, not {type(shown).__name__}"]
