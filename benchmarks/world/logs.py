"""What the shop's log would hold: slates that were shown, and what people did with them."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from benchmarks.world.truth import AGES, COUNTRIES, DEVICES, EVENTS, HOURS, MONTHS, PAGES, Truth, chance
from kindred.core.candidates import Floats, Mask
from kindred.core.clock import DAY, HOUR
from kindred.core.event import Event, EventContext, Interaction, Served

START = 1_704_067_200_000
_CHUNK = 20_000


@dataclass(frozen=True, slots=True)
class Logs:
    """One row per item shown, n rows in order of time.

    `requests (n,) int64` number the slates; `users`, `items`, `slots`, `devices`, `pages (n,) int32`; `times (n,)
    int64` ms; `random (n,) bool`: the slate was drawn at random instead of by the shop's own order. `click`,
    `add_to_cart`, `purchase (n,) bool`: what followed. `odds (n,) float32`: the true log-odds of a click once looked
    at.
    """

    requests: NDArray[np.int64]
    users: NDArray[np.int32]
    items: NDArray[np.int32]
    slots: NDArray[np.int32]
    times: NDArray[np.int64]
    devices: NDArray[np.int32]
    pages: NDArray[np.int32]
    random: Mask
    click: Mask
    add_to_cart: Mask
    purchase: Mask
    odds: Floats

    def __len__(self) -> int:
        """Return n."""
        return len(self.users)

    def take(self, rows: Any) -> Self:
        """Return the rows that an index array or a mask selects."""
        return type(self)(*(getattr(self, one.name)[rows] for one in fields(self)))

    @property
    def hours(self) -> NDArray[np.int32]:
        """Return each row's hour of the day (n,), UTC."""
        return (self.times // HOUR % HOURS).astype(np.int32)

    @property
    def months(self) -> NDArray[np.int32]:
        """Return each row's month (n,), 0 = January."""
        return months_of(self.times)


def months_of(times: NDArray[np.int64]) -> NDArray[np.int32]:
    """Return the month (n,) of times in ms, 0 = January."""
    return (times.astype("datetime64[ms]").astype("datetime64[M]").astype(np.int64) % MONTHS).astype(np.int32)


def simulate(truth: Truth, explore: float = 0.3) -> Logs:
    """Let everybody visit the shop: a share of `explore` slates is random, the others follow the shop's own order.

    That order is a noisy guess of what the user likes, so that good items stand high and slot and taste are confounded,
    as in any real log.
    """
    config = truth.config
    rng = np.random.default_rng(config.seed + 1)
    visits = np.where(truth.bot, config.bot_activity, 1) * config.requests
    users = np.repeat(np.arange(config.users, dtype=np.int32), visits)
    times = START + rng.integers(config.days * DAY, size=len(users))
    order = np.argsort(times, kind="stable")
    users, times = users[order], times[order]
    parts = [
        _shown(truth, rng, first, users[first : first + _CHUNK], times[first : first + _CHUNK], explore)
        for first in range(0, len(users), _CHUNK)
    ]
    return Logs(*(np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(Logs)))


def _shown(
    truth: Truth,
    rng: np.random.Generator,
    first: int,
    users: NDArray[np.int32],
    times: NDArray[np.int64],
    explore: float,
) -> Logs:
    """Show one slate per visit, numbered from `first`, and let people react."""
    config, visits, slots = truth.config, len(users), truth.config.slots
    random = rng.random(visits) < explore
    guess = 2 * (truth.users[users] @ truth.items.T + truth.quality) + rng.gumbel(size=(visits, config.items))
    guess[random] = rng.random((int(random.sum()), config.items))
    best = np.argpartition(-guess, slots, axis=1)[:, :slots]
    items = np.take_along_axis(best, np.argsort(-np.take_along_axis(guess, best, 1), axis=1), 1).ravel()
    # People come in the evening by phone and television, at noon by desktop: contexts go together, as in life.
    hours = times // HOUR % HOURS
    evening = (hours >= 17).astype(np.float64)
    share = np.stack([0.5 - 0.1 * evening, 0.4 - 0.2 * evening, 0.1 + 0.3 * evening], 1).cumsum(1)
    devices = (rng.random((visits, 1)) > share).sum(1).clip(0, len(DEVICES) - 1).astype(np.int32)
    pages = rng.choice(len(PAGES), p=(0.6, 0.3, 0.1), size=visits).astype(np.int32)
    every = np.repeat(np.arange(visits), slots)
    place = np.tile(np.arange(slots, dtype=np.int32), visits)
    odds = truth.click_odds(users[every], items, hours[every], devices[every], pages[every], months_of(times)[every])
    bot = truth.bot[users[every]]
    examined = rng.random(len(every)) < truth.examined[place]
    click = np.where(bot, rng.random(len(every)) < 0.5, examined & (rng.random(len(every)) < chance(odds)))
    cart = click & ~bot & (rng.random(len(every)) < chance(truth.cart[items]))
    bought = cart & (rng.random(len(every)) < chance(truth.purchase[items]))
    columns = (devices[every], pages[every], random[every], click, cart, bought, odds)
    return Logs(first + every, users[every], items.astype(np.int32), place, times[every], *columns)


def events(logs: Logs, truth: Truth) -> Iterator[Event]:
    """Yield what servers and clients would have put into the log: each slate as served, then what was done with it."""
    starts = np.flatnonzero(np.diff(logs.requests, prepend=-1))
    for first, last in zip(starts.tolist(), [*starts[1:].tolist(), len(logs)], strict=True):
        rows = logs.take(slice(first, last))
        user, time, request = f"u{rows.users[0]}", int(rows.times[0]), f"r{rows.requests[0]}"
        items = [f"i{item}" for item in rows.items.tolist()]
        chance = 1 / truth.config.items if rows.random[0] else 1.0
        yield Served(
            event_id=f"{request}-served", timestamp=time, ingested_at=time, user_id=user, request_id=request,
            placement=PAGES[rows.pages[0]], bundle="world", items=items, propensities=[chance] * len(items),
            sources=["random" if rows.random[0] else "shop"] * len(items),
            policy="random" if rows.random[0] else "shop",
        )  # fmt: skip
        context = {
            "device": DEVICES[rows.devices[0]],
            "page": PAGES[rows.pages[0]],
            "request_id": request,
            "location": COUNTRIES[truth.user_country[rows.users[0]]],
        }
        for step, name in enumerate(EVENTS):
            for place in np.flatnonzero(getattr(rows, name)).tolist():
                moment = time + 1_000 * (1 + step)
                yield Interaction(
                    event_id=f"{request}-{name}-{place}", timestamp=moment, ingested_at=moment, user_id=user,
                    item_id=items[place], event_type=name, context=EventContext(position=place, **context),
                )  # fmt: skip


def described(truth: Truth) -> str:
    """Say how large the shop is."""
    config = truth.config
    people = f"{config.users} users ({int(truth.bot.sum())} bots, {len(AGES)} ages)"
    return f"{people}, {config.items} items of {config.categories} categories, {config.slots} slots, {config.days} days"
