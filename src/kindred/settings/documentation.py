"""What each field of a config struct means, read from the struct's docstring."""

import inspect
import re

import msgspec

_NAMES = re.compile(r"(?<!\w)(`\w+`(?:(?:, | and |, and )`\w+`)*):(?=\s)")


def field_docs(kind: type[msgspec.Struct]) -> dict[str, str]:
    """Return the text behind "`field`:" for each documented field; fields named together share one text."""
    fields = {field.name for field in msgspec.structs.fields(kind)}
    text = inspect.cleandoc(kind.__doc__ or "")
    marks = [(m.start(), m.end(), re.findall(r"\w+", m.group(1).replace(" and ", " "))) for m in _NAMES.finditer(text)]
    marks = [mark for mark in marks if set(mark[2]) <= fields]
    stops = [start for start, _, _ in marks[1:]] + [len(text)]
    found: dict[str, str] = {}
    for (_, end, names), stop in zip(marks, stops, strict=False):
        said = " ".join(text[end:stop].partition("\n\n")[0].split())
        found.update(dict.fromkeys(names, said[:1].upper() + said[1:]))
    return found


def summary(kind: type[msgspec.Struct]) -> str:
    """Return the first sentence of a struct's docstring."""
    return " ".join(inspect.cleandoc(kind.__doc__ or "").partition("\n\n")[0].split())
