"""`kindred doctor`: what is wrong, in plain words."""

import asyncio
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from kindred.cli.diagnosis import (
    look_at_bundle,
    look_at_consumer,
    look_at_data,
    look_at_home,
    look_at_placements,
    look_at_stores,
    look_at_tokens,
    look_at_training,
)
from kindred.cli.exits import Exit
from kindred.cli.findings import Finding, Level, ok, trouble
from kindred.cli.output import Json, emit_json, show, table
from kindred.cli.promises import broken_promises
from kindred.cli.session import opened_app, opened_stores, read_settings
from kindred.cli.user_diagnosis import look_at_user
from kindred.core.clock import SystemClock
from kindred.core.errors import ConfigError, KindredError

if TYPE_CHECKING:
    from kindred.app.stores import Stores
    from kindred.settings.load import Settings

_MARKS = {Level.OK: ("✓", "green"), Level.ADVICE: ("!", "yellow"), Level.TROUBLE: ("✗", "red")}


async def doctor(
    *,
    user: Annotated[str | None, Parameter(help="Say why this user gets what they get.")] = None,
    as_json: Json = False,
) -> int:
    """Look at settings, stores, data, bundle and consumer, and say in plain words what is wrong.

    Exit code 1 when something does not work.
    """
    found = await examine(user)
    if as_json:
        emit_json([{"about": f.about, "level": f.level, "said": f.said, "fix": f.fix} for f in found])
    else:
        from rich.text import Text

        rows = [(Text(*_MARKS[f.level]), f.about, f.said, f.fix) for f in found]
        show(table(["", "about|bold", "what", "what to do|cyan"], rows))
    return Exit.FAILURE if any(f.level is Level.TROUBLE for f in found) else Exit.OK


async def examine(user: str | None = None) -> list[Finding]:
    """Look at everything, or at what one user gets; a broken part never hides the others."""
    try:
        settings = read_settings()
    except ConfigError as error:
        return [trouble("settings", line, "`kindred config explain KEY` helps") for line in error.detail.splitlines()]
    home = look_at_home(settings.home)
    if user is not None and home[0].level is not Level.TROUBLE:
        return await _examine_user(user)
    promises = broken_promises(settings) or [ok("settings", "can be used, and hold what they promise")]
    if home[0].about == "data folder":
        return [*promises, *home]
    try:
        async with opened_stores(settings) as stores:
            return [*promises, *home, *await _examine_stores(stores, settings)]
    except KindredError as error:
        return [*promises, *home, trouble("stores", error.detail)]


async def _examine_user(user: str) -> list[Finding]:
    try:
        async with opened_app() as app:
            return await look_at_user(app, user)
    except KindredError as error:
        return [trouble("user", error.detail, "run `kindred doctor` without --user first")]


async def _examine_stores(stores: "Stores", settings: "Settings") -> list[Finding]:
    steps = {
        "stores": look_at_stores(stores),
        "catalogue": look_at_data(stores),
        "bundle": look_at_bundle(stores, SystemClock().now()),
        "training": look_at_training(settings.home, SystemClock().now()),
        "consumer": look_at_consumer(stores),
        "placements": look_at_placements(stores, settings),
        "tokens": look_at_tokens(stores, settings),
    }
    answers = await asyncio.gather(*steps.values(), return_exceptions=True)
    found: list[Finding] = []
    for about, answer in zip(steps, answers, strict=True):
        if isinstance(answer, KindredError):
            found.append(trouble(about, answer.detail))
        elif isinstance(answer, BaseException):
            raise answer
        else:
            found.extend(answer)
    return found
