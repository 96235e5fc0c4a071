"""Bodies and answers about placements that are changed while servers run."""

from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta

from kindred.api.decoding import Faults, escape, fault_of
from kindred.app.placements import Change, Placements
from kindred.core.clock import format_time
from kindred.core.config import Config, unknown_key
from kindred.core.errors import ConfigError
from kindred.core.rules import Rule
from kindred.ports.rules import RuleVersion
from kindred.recommend.config import PlacementConfig

AT = "/placements"
"""Where the document stands in a body."""

Version: TypeAlias = Annotated[int, Meta(ge=0, le=2_000_000_000)]
Note: TypeAlias = Annotated[str, Meta(max_length=1_000, description="what it is for; shown in the history")]


class PlacementsBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All placements that are not as in the settings, by name; `expected_version`: the version that this builds on.

    Each is written as under `[placements]` in the settings; what it leaves out is the default.
    """

    expected_version: Version
    placements: dict[str, Any]
    note: Note = ""


class RollbackBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The version whose document comes back, 0 for the settings alone.

    `expected_version`: the newest one, where it matters which that is.
    """

    version: Version
    expected_version: Version | None = None
    note: Note = ""


class PlacementsVersionView(msgspec.Struct, frozen=True, kw_only=True):
    """Who made a version, when, and what for; `author` is the name of a token."""

    version: int
    created: str | None
    author: str
    note: str


class PlacementsView(PlacementsVersionView, frozen=True, kw_only=True):
    """A version: `placements` as they were given, and all that follows: those `effective` with the settings' own.

    `serving`: the version that this server answers under at this moment.
    """

    placements: dict[str, Any]
    effective: dict[str, PlacementConfig]
    serving: int


class PlacementsHistory(msgspec.Struct, frozen=True, kw_only=True):
    """Versions, newest first; pass `next_before` as `before` for the next ones, until it is null."""

    versions: list[PlacementsVersionView]
    next_before: int | None


class PlacementsOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a new version, and which placements it changes; of a `dry_run`, what would."""

    status: Literal["stored", "dry_run"]
    version: int
    changed: list[str]


def check_placements(given: Mapping[str, Any], known: Collection[str]) -> None:
    """Raise InvalidInput naming every field of a document that breaks a rule; `known`: what the settings name."""
    faults = Faults(AT)
    for name, table in given.items():
        if name in known:
            _check_config(PlacementConfig, table, f"/{escape(name)}", faults)
        else:
            said = f"{unknown_key(name[:200], known)}; new ones begin in the settings, as [placements.NAME]"
            faults.add(f"/{escape(name[:200])}", said)
    faults.done()


def _check_config(kind: type[Config], table: Any, pointer: str, faults: Faults) -> None:
    if not isinstance(table, dict):
        faults.add(pointer, "must be an object")
        return
    before = len(faults.found)
    fields = [field.encode_name for field in msgspec.structs.fields(kind)]
    for name in table:
        if name not in fields:
            faults.add(f"{pointer}/{escape(name[:200])}", unknown_key(name[:200], fields))
    rules = table.get("rules") if kind is PlacementConfig else None
    for place, rule in enumerate(rules if isinstance(rules, list) else []):
        _check_config(Rule, rule, f"{pointer}/rules/{place}", faults)
    if len(faults.found) > before:
        return
    try:
        msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        faults.found.append(fault_of(kind, str(error), faults.at + pointer))
    except ConfigError as error:
        # It begins with the field of a placement.
        field, _, said = error.detail.partition(": ")
        faults.add(f"{pointer}/{field}" if field in fields else pointer, said)


def version_view(about: RuleVersion) -> PlacementsVersionView:
    """Show a version without its document."""
    return PlacementsVersionView(**_about(about))


def placements_view(found: Placements, serving: int) -> PlacementsView:
    """Show a version with its document."""
    return PlacementsView(
        **_about(found.about), placements=dict(found.document), effective=dict(found.by_name), serving=serving
    )


def placements_outcome(change: Change, dry_run: bool) -> PlacementsOutcome:
    """Say what became of a new version."""
    status: Literal["stored", "dry_run"] = "dry_run" if dry_run else "stored"
    return PlacementsOutcome(status=status, version=change.placements.version, changed=change.changed)


def _about(about: RuleVersion) -> dict[str, Any]:
    created = format_time(about.created) if about.version else None
    return {"version": about.version, "created": created, "author": about.author, "note": about.note}
