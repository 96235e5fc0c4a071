"""How many answers come from reserves on a trace with real event times, and whether any of them is stale.

The packaged data's users come again under new names, each act at its own time. A request is made at each session's
start (after half an hour of silence) and after every third event of it; so nobody asks twice without having done
something new, and what answers is a reserve ranked again (warm), seldom one as it stands (fresh). With `--ahead` an
active user's reserve is made anew each night, as by `kindred precompute`.

An answer is stale when it was built from another version of its user than could be read when the request began (a fresh
one from its reserve's, every other one from that of the record that its stages had before them when it was ranked), or
shows what the user had dealt with, or an item that was sold out by then: every 25th request, one that was just shown.
"""

import argparse
import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

import kindred.sample
from benchmarks.servers import machine, sample_home
from kindred.app.app import App, build_app
from kindred.app.sections import SCHEMA
from kindred.core.clock import DAY, MINUTE, FixedClock
from kindred.core.event import Interaction
from kindred.evaluation.intervals import mean_interval
from kindred.features.users import preference_version
from kindred.jobs.config import PrecomputeConfig
from kindred.jobs.precompute import precompute
from kindred.recommend.ask import Ask
from kindred.recommend.known_user import known_user
from kindred.recommend.reserves.request import Request
from kindred.recommend.reserves.reserve import Grade, Reserve
from kindred.settings.load import load_settings

SESSION = 30 * MINUTE
EVERY = 3
SELLS_OUT = 25
RATINGS = Path(kindred.sample.__file__).parent / "ml-latest-small" / "ratings.parquet"


class Step(NamedTuple):
    """An event at its time (ms), and whether the user asks before it (a session begins) or after it."""

    time: int
    user_id: str
    item_id: str
    rating: float
    before: bool
    after: bool


def steps(users: int) -> list[Step]:
    """Return the events of the first `users` users in order of time."""
    rows = pl.read_parquet(RATINGS).sort("user_id", "timestamp")
    rows = rows.filter(pl.col("user_id").is_in(rows["user_id"].unique().sort().head(users).implode()))
    found: list[Step] = []
    for (user,), part in rows.group_by("user_id", maintain_order=True):
        found.extend(_of_user(f"again-{user}", part))
    return sorted(found)


def _of_user(user_id: str, part: pl.DataFrame) -> Iterator[Step]:
    last, place = None, 0
    for item, rating, moment in part.select("item_id", "rating", "timestamp").iter_rows():
        now = 1000 * moment
        begins = last is None or now - last > SESSION
        place = 1 if begins else place + 1
        last = now
        yield Step(now, user_id, str(item), float(rating), begins, place % EVERY == 0)


@dataclass
class Watch:
    """Notes from which version of a user each answer was built; `last` is what was noted of the present one."""

    app: App
    last: tuple[str, str, int] = ("", "", -1)

    def __post_init__(self) -> None:
        """Listen where answers are counted by grade."""
        reserves = self.app.serving._reserves
        note = reserves._note

        def noted(request: Request, grade: Grade, level: str, reserve: Reserve | None) -> None:
            scored = preference_version(request.query.scratch.get("record"))
            built = reserve.version if reserve is not None and grade is Grade.FRESH else scored
            self.last = (str(grade), level, built)
            note(request, grade, level, reserve)

        reserves._note = noted  # type: ignore[method-assign]


@dataclass
class Replay:
    """Plays a trace; `asked` holds each request's user, grade and level, `stale` the stale answers by their fault."""

    app: App
    clock: FixedClock
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    stale: Counter[str] = field(default_factory=Counter)
    _known: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    _gone: set[str] = field(default_factory=set)

    async def play(self, trace: Sequence[Step], ahead: bool) -> None:
        """Play all steps in order, and fold what happened before each request."""
        watch, waiting, day = Watch(self.app), [], -1
        for number, step in enumerate(trace):
            if ahead and step.time // DAY > day:
                day = step.time // DAY
                self.clock.time_ms = day * DAY
                await self._rank_ahead()
            self.clock.time_ms = step.time
            if step.before:
                await self._fold(waiting)
                await self._ask(step.user_id, watch)
            waiting.append(_event(number, step))
            self._known[step.user_id].add(step.item_id)
            if step.after:
                await self._fold(waiting)
                await self._ask(step.user_id, watch)

    async def _fold(self, waiting: list[Interaction]) -> None:
        if waiting:
            await self.app.consumer.drain_to(*await self.app.journal.record(waiting))
            waiting.clear()

    async def _ask(self, user_id: str, watch: Watch) -> None:
        state = self.app.stores.state
        readable = preference_version((await known_user(state, user_id, self.app.stores.log.partition_of)).record)
        served = await self.app.serving.recommend(Ask(user_id=user_id))
        grade, level, built = watch.last
        shown = {one.catalog_item.item.item_id: one.catalog_item.item for one in served.items}
        self.asked.append((user_id, grade, level))
        self.stale["version"] += built != readable
        self.stale["known"] += not self._known[user_id].isdisjoint(shown)
        self.stale["sold out"] += not self._gone.isdisjoint(shown)
        if shown and len(self.asked) % SELLS_OUT == 0:
            sold, item = next(iter(shown.items()))
            self._gone.add(sold)
            await self.app.stores.catalog.upsert([msgspec.structs.replace(item, stock=0)], self.clock.now())
            await self.app.follower.step()

    async def _rank_ahead(self) -> None:
        async def rank(user_id: str) -> Grade:
            return await self.app.serving.precompute(Ask(user_id=user_id)) if user_id in self._known else Grade.FRESH

        config = PrecomputeConfig()
        await precompute(self.app.stores.state, rank, self.clock.now() - config.days * DAY, config.users)


def _event(number: int, step: Step) -> Interaction:
    return Interaction(
        event_id=f"trace-{number}",
        timestamp=step.time,
        ingested_at=step.time,
        user_id=step.user_id,
        item_id=step.item_id,
        event_type="rating",
        metadata={"rating": step.rating},
    )


async def measure(home: Path, trace: Sequence[Step], ahead: bool, settings: Mapping[str, str]) -> Replay:
    """Play a trace on a server in this process."""
    clock = FixedClock(trace[0].time)
    environment = {
        "KINDRED_HOME": str(home),
        "KINDRED_RESERVES_ENABLED": "true",
        "KINDRED_RECOMMEND_SERVED_LOG": "false",
        **settings,
    }
    app = await build_app(load_settings(SCHEMA, environment), clock)
    try:
        await app.follower.step()
        played = Replay(app, clock)
        await played.play(trace, ahead)
        return played
    finally:
        await app.close()


def share(played: Replay, *grades: str, level: str = "") -> str:
    """Return which share of the answers was of these grades, from one level or any, with its interval over users."""
    users = np.unique([user for user, _, _ in played.asked], return_inverse=True)[1]
    hits = [grade in grades and level in ("", where) for _, grade, where in played.asked]
    found = mean_interval(np.array(hits, float), users=users)
    return f"{found.mean:.1%} ({found.low:.1%} to {found.high:.1%})"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=100, help="of the data, in order of their numbers")
    parser.add_argument("--ahead", action="store_true", help="rank ahead for active users each night")
    parser.add_argument("--cache", default="local:cache", help="the shared cache, such as redis://127.0.0.1:6379/0")
    parser.add_argument("--shared-alone", action="store_true", help="keep no reserves in the process")
    given = parser.parse_args()
    settings = {"KINDRED_STORES_CACHE": given.cache}
    if given.shared_alone:
        settings["KINDRED_RESERVES_MEMORY"] = "0"
    trace, started = steps(given.users), time.process_time()
    with sample_home() as home:
        played = asyncio.run(measure(home.path, trace, given.ahead, settings))
    took = time.process_time() - started
    title = (
        f"{len(trace):,} events of {given.users} users, {len(played.asked):,} requests, {took:.0f} s of processor time"
    )
    table = Table(title=f"Answers from reserves: {title} ({machine()})")
    for column in ("what", "found (95 % interval over users)", "wanted"):
        table.add_column(column, justify="left" if column == "what" else "right")
    table.add_row("hits (fresh and warm)", share(played, "fresh", "warm"), "≥ 70 %")
    for grade in ("fresh", "warm"):
        table.add_row(grade, share(played, grade), "")
        for level in ("process", "shared"):
            table.add_row(f"  of them from the cache: {level}", share(played, grade, level=level), "")
    table.add_row("miss", share(played, "miss"), "")
    for fault, count in played.stale.items():
        table.add_row(f"stale answers: {fault}", f"{count:,}", "0")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
