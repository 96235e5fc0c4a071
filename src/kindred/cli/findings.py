"""What a diagnosis finds: plain sentences with what to do about them."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    ADVICE = "advice"
    TROUBLE = "trouble"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: `about` names it, `said` is a plain sentence, `fix` what to do (empty: nothing)."""

    about: str
    said: str
    level: Level = Level.OK
    fix: str = ""


def ok(about: str, said: str) -> Finding:
    """Say that something is as it should be."""
    return Finding(about, said)


def advice(about: str, said: str, fix: str = "") -> Finding:
    """Say that something works and could be better."""
    return Finding(about, said, Level.ADVICE, fix)


def trouble(about: str, said: str, fix: str = "") -> Finding:
    """Say that something does not work."""
    return Finding(about, said, Level.TROUBLE, fix)
