"""What the doctor looks at in the platform: stores, data, bundle, consumer."""

import os
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kindred.cli.findings import Finding, advice, ok, trouble
from kindred.cli.output import age, size
from kindred.cli.placements import placements_of
from kindred.cli.promises import placement_promises
from kindred.core.clock import DAY
from kindred.core.errors import KindredError
from kindred.core.position import Position

if TYPE_CHECKING:
    from kindred.app.stores import Stores
    from kindred.settings.load import Settings

MIN_ROOM = 200 * 2**20
LOW_ROOM = 2 * 2**30
OLD_BUNDLE = 7 * DAY
_MOST_LETTERS = 10_000


def look_at_home(home: Path) -> list[Finding]:
    """Look at the data folder: is it there, can it be written, has its disk room."""
    if not home.is_dir():
        said = f"{home} is a file, not a folder" if home.exists() else f"{home} does not exist yet"
        return [trouble("data folder", said, "run `kindred import --sample`, or point KINDRED_HOME elsewhere")]
    if not os.access(home, os.W_OK | os.X_OK):
        return [trouble("data folder", f"{home} cannot be written by this user", "change its owner or KINDRED_HOME")]
    free = shutil.disk_usage(home).free
    said = f"{home} has {size(free)} of free disk"
    if free < MIN_ROOM:
        return [trouble("disk", f"{said}: events will soon be refused with 503", "make room")]
    if free < LOW_ROOM:
        return [advice("disk", f"{said}: training needs room for a second bundle", "make room")]
    return [ok("disk", said)]


async def look_at_stores(stores: "Stores") -> list[Finding]:
    """Ask every store whether it answers, and whether it can promise what its place needs."""
    found: list[Finding] = []
    for name, store in stores.resources().items():
        try:
            await store.check()
        except KindredError as error:
            found.append(trouble(f"stores.{name}", error.detail, f"see that what stores.{name} names is reachable"))
    if not found:
        found.append(ok("stores", f"all {len(stores.resources())} stores answer"))
    if not stores.log.capabilities.durable:
        found.append(
            advice(
                "stores.event_log",
                "events are acknowledged and yet gone when the process ends: this log is not durable",
                'set stores.event_log to a durable one, such as "sqlite:log"',
            )
        )
    unshared = [name for name, store in stores.resources().items() if not store.capabilities.shared and name != "cache"]
    if unshared:
        found.append(
            advice(
                "stores", f"one process alone can use {', '.join(unshared)}", "run a single server, nothing beside it"
            )
        )
    return found


async def look_at_data(stores: "Stores") -> list[Finding]:
    """Look at how much there is to learn from."""
    rows, users, _ = await stores.interactions.counts()
    items = await stores.catalog.page("", 1)
    if not items:
        return [trouble("catalogue", "there is no item to recommend", "run `kindred import`, or PUT items over HTTP")]
    if not rows:
        return [advice("history", "nobody has done anything yet, so everyone gets the same", "import or track events")]
    return [ok("history", f"{rows:,} interactions of {users:,} users")]


async def look_at_bundle(stores: "Stores", now: int) -> list[Finding]:
    """Look at the active bundle: is there one, is it whole, how old is it."""
    version = await stores.models.active()
    if version is None:
        return [trouble("bundle", "nothing was trained yet, so no recommendation can be made", "run `kindred train`")]
    try:
        manifest, _ = await stores.models.open(version)
    except KindredError as error:
        fix = "run `kindred models rollback`, or `kindred train` for a new one"
        return [trouble("bundle", f"{version} cannot be used: {error.detail}", fix)]
    said = f"{version}, trained {age(now - manifest.created)} ago on {manifest.window.interactions:,} interactions"
    if now - manifest.created > OLD_BUNDLE:
        return [advice("bundle", f"{said}: tastes have moved on since", "run `kindred train`")]
    return [ok("bundle", said)]


async def look_at_training(home: Path, now: int) -> list[Finding]:
    """Look at how the last training ended."""
    from kindred.training.records import RunRecords

    last = next((record for record in RunRecords(home).records() if record.kind == "training"), None)
    if last is None:
        return []
    when = f"the last one, {age(now - last.finished)} ago,"
    if last.outcome == "published":
        return [ok("training", f"{when} published {last.version}")]
    fix = f"`kindred models show {last.version}` says what was checked; mend what it names, then `kindred train`"
    return [advice("training", f"{when} was refused or failed, the bundle before it serves: {last.error}", fix)]


async def look_at_consumer(stores: "Stores") -> list[Finding]:
    """Look at whether events are folded: who does it, how far it is, and what could never be folded."""
    from kindred.ingest.consumer import LEASE

    ends = await stores.log.ends()
    behind = await _behind(stores, ends)
    # Who is in a group is the log's own affair; it cannot be seen from here.
    grouped = stores.log.capabilities.groups
    holder = None if grouped else await stores.leases.holder(LEASE)
    found: list[Finding] = []
    if grouped and behind:
        said = f"{behind:,} events or acts on items wait to be folded"
        found.append(advice("consumer", said, "wait; if it grows, start more of `kindred consume`"))
    elif grouped:
        found.append(ok("consumer", f"nothing waits to be folded in {len(ends)} partitions"))
    elif holder and not behind:
        found.append(ok("consumer", f"{holder} folds events as they come"))
    elif holder:
        found.append(advice("consumer", f"{holder} is {behind:,} events behind", "wait; if it grows, look at its log"))
    elif behind:
        said = f"{behind:,} events wait and no process folds them: they count for nobody yet"
        found.append(trouble("consumer", said, "start `kindred serve`"))
    else:
        found.append(ok("consumer", "nothing waits to be folded; no server runs at the moment"))
    return [*found, *await _look_at_dead_letters(stores)]


async def _behind(stores: "Stores", ends: Sequence[Position]) -> int:
    """Count the records of both logs that wait to be folded; of an older epoch, those of the present one."""
    from kindred.ingest.forwarding import item_side

    items = [item_side(end) for end in await stores.item_log.ends()] if stores.item_log is not None else []
    behind = 0
    for end in [*ends, *items]:
        watermark = await stores.state.watermark(end.partition)
        folded = watermark.offset if watermark.epoch == end.epoch or end.offset <= watermark.offset else -1
        behind += max(end.offset - folded, 0)
    return behind


async def _look_at_dead_letters(stores: "Stores") -> list[Finding]:
    reasons: Counter[str] = Counter()
    async for reason in _reasons(stores):
        reasons[reason.partition(":")[0]] += 1
    if not reasons:
        return [ok("dead letters", "every event could be folded")]
    total = sum(reasons.values())
    count = f"{total:,}" + (" or more" if total >= _MOST_LETTERS else "")
    why = ", ".join(f"{reason} ({number:,})" for reason, number in reasons.most_common(3))
    return [
        advice("dead letters", f"{count} events could never be folded and are kept apart: {why}", "mend their sender")
    ]


async def _reasons(stores: "Stores") -> AsyncIterator[str]:
    after: Position | None = None
    seen = 0
    while seen < _MOST_LETTERS and (letters := await stores.dead_letters.letters(after, 1_000)):
        for letter in letters:
            yield letter.reason
        after, seen = letters[-1].position, seen + len(letters)


async def look_at_placements(stores: "Stores", settings: "Settings") -> list[Finding]:
    """Look at the newest version of the placements that were changed while servers ran."""
    from kindred.recommend.config import RecommendConfig

    found = await placements_of(stores, settings).read()
    recommend = settings.section(RecommendConfig)
    broken = [each for name in found.document for each in placement_promises(name, found.by_name[name], recommend)]
    names = ", ".join(found.document)
    said = f"version {found.version} says what holds for {names}" if names else "are as in the settings"
    return broken or [ok("placements", said)]


async def look_at_tokens(stores: "Stores", settings: "Settings") -> list[Finding]:
    """Look at whether anyone can call the server."""
    from kindred.app.sections import ServerConfig

    live = [token for token in await stores.tokens.tokens() if token.revoked is None]
    if not live:
        fix = "run `kindred token create --scopes read,write`"
        return [advice("tokens", "there is no token, so every HTTP call answers 401", fix)]
    host = settings.section(ServerConfig).host
    admins = [token for token in live if "admin" in token.scopes]
    if host not in ("127.0.0.1", "localhost", "::1") and len(admins) == len(live):
        said = f"the server listens on {host} and every token is an admin's"
        return [advice("tokens", said, "give clients a token with the scopes read,write alone")]
    return [ok("tokens", f"{len(live)} in use")]
