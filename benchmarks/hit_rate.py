"""How many answers come from reserves on a trace with real event times, and whether any of them is stale.

The packaged data's users come again under new names, each act at its own time. A request is made at each session's
start (after half an hour of silence) and after every third event of it. An answer is stale when it shows what the user
had dealt with before the request began.
"""

import argparse
import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import polars as pl
from rich.console import Console
from rich.table import Table

import kindred.sample
from benchmarks.servers import machine, sample_home
from kindred.app.app import App, build_app
from kindred.app.sections import SCHEMA
from kindred.core.clock import MINUTE, FixedClock
from kindred.core.event import Interaction
from kindred.recommend.ask import Ask
from kindred.settings.load import load_settings

SESSION = 30 * MINUTE
EVERY = 3
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


async def replay(app: App, clock: FixedClock, trace: list[Step]) -> tuple[int, int]:
    """Play the trace and return the requests and the stale answers among them."""
    asked = stale = 0
    known: dict[str, set[str]] = {}

    async def ask(user_id: str) -> int:
        served = await app.serving.recommend(Ask(user_id=user_id))
        return int(any(one.catalog_item.item.item_id in known.get(user_id, ()) for one in served.items))

    for number, step in enumerate(trace):
        clock.time_ms = step.time
        if step.before:
            asked, stale = asked + 1, stale + await ask(step.user_id)
        event = Interaction(
            event_id=f"trace-{number}",
            timestamp=step.time,
            ingested_at=step.time,
            user_id=step.user_id,
            item_id=step.item_id,
            event_type="rating",
            metadata={"rating": step.rating},
        )
        await app.consumer.drain_to(*await app.journal.record([event]))
        known.setdefault(step.user_id, set()).add(step.item_id)
        if step.after:
            asked, stale = asked + 1, stale + await ask(step.user_id)
    return asked, stale


def grades(app: App) -> Counter[str]:
    """Return the answers by grade."""
    found: Counter[str] = Counter()
    for family in app.meter.registry.collect():
        for sample in family.samples:
            if sample.name == "kindred_reserve_answers_total":
                found[sample.labels["grade"]] += int(sample.value)
    return found


async def measure(home: Path, trace: list[Step]) -> tuple[int, int, Counter[str]]:
    """Return requests, stale answers, and answers by grade."""
    clock = FixedClock(trace[0].time)
    environment = {
        "KINDRED_HOME": str(home),
        "KINDRED_RESERVES_ENABLED": "true",
        "KINDRED_RECOMMEND_SERVED_LOG": "false",
    }
    app = await build_app(load_settings(SCHEMA, environment), clock)
    try:
        await app.follower.step()
        asked, stale = await replay(app, clock, trace)
        return asked, stale, grades(app)
    finally:
        await app.close()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=8, help="of the data, in order of their numbers")
    trace = steps(parser.parse_args().users)
    with sample_home() as home:
        asked, stale, found = asyncio.run(measure(home.path, trace))
    table = Table(title=f"Answers from reserves: {len(trace):,} events, {asked:,} requests ({machine()})")
    for column in ("what", "found", "wanted"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for grade in ("fresh", "warm", "miss"):
        table.add_row(grade, f"{found[grade] / asked:.1%}", "")
    table.add_row("hits (fresh and warm)", f"{(found['fresh'] + found['warm']) / asked:.1%}", "≥ 70 %")
    table.add_row("stale answers", f"{stale:,}", "0")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
