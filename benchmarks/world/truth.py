"""The planted truth: who likes what, and what the clock, the device, the page, the season and the slot do to it."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from kindred.core.candidates import Floats
from kindred.core.config import Config, Count, Share

DEVICES = ("mobile", "desktop", "tv")
PAGES = ("home", "category", "basket")
AGES = ("18-29", "30-49", "50+")
COUNTRIES = ("DE", "FR", "US")
EVENTS = ("click", "add_to_cart", "purchase")
HOURS, MONTHS = 24, 12


class WorldConfig(Config, frozen=True, kw_only=True):
    """How large the shop is and how strong each planted effect.

    `tastes`: dimensions of what users like. `slots`: length of a slate. `taste`, `hour`, `device`, `page`, `season`,
    `age`: standard deviation of each effect on the log-odds of a click. `examination`: the n-th slot is looked at with
    probability n ** -examination. `base`: log-odds of a click on an average item that is looked at. `bots`: share of
    users who click on whatever they see, `bot_activity` times as often as people ask.
    """

    users: Count = 3_000
    items: Count = 400
    categories: Count = 8
    tastes: Count = 6
    days: Count = 364
    requests: Count = 40
    slots: Count = 10
    taste: float = 1.0
    hour: float = 0.5
    device: float = 0.5
    page: float = 0.4
    season: float = 0.6
    age: float = 0.5
    examination: float = 0.8
    base: float = -1.8
    bots: Share = 0.01
    bot_activity: Count = 20
    seed: int = 42


@dataclass(frozen=True, slots=True)
class Truth:
    """Effects on log-odds, all float32: what a click depends on, and what follows it.

    `users (u, t)`, `items (i, t)`: tastes. `quality (i,)`. `category (i,) int32`. `hour (categories, 24)`,
    `device (categories, 3)`, `season (categories, 12)`, `age (categories, 3)`, `page (3,)`: each sums to 0 over its
    last axis. `examined (slots,)`: probability that a slot is looked at. `cart (i,)`, `purchase (i,)`: log-odds of the
    step after a click and after the basket. `user_age (u,)`, `user_country (u,) int32`. `bot (u,) bool`.
    """

    config: WorldConfig
    users: Floats
    items: Floats
    quality: Floats
    category: NDArray[np.int32]
    hour: Floats
    device: Floats
    season: Floats
    age: Floats
    page: Floats
    examined: Floats
    cart: Floats
    purchase: Floats
    user_age: NDArray[np.int32]
    user_country: NDArray[np.int32]
    bot: NDArray[np.bool_]

    @classmethod
    def plant(cls, config: WorldConfig | None = None) -> Self:
        """Draw a truth from the configuration's seed."""
        config = config or WorldConfig()
        rng = np.random.default_rng(config.seed)
        categories = config.categories
        centres = rng.normal(size=(categories, config.tastes))
        category = rng.integers(categories, size=config.items).astype(np.int32)
        items = centres[category] + 0.7 * rng.normal(size=(config.items, config.tastes))
        users = rng.normal(size=(config.users, config.tastes))
        # The inner product of two such vectors has this spread, which is taken out so that `taste` says it.
        spread = float((users @ items.T).std())
        evening = np.sin((np.arange(HOURS) - 14) * 2 * np.pi / HOURS)
        slope = rng.normal(size=(categories, 1))
        summer = np.cos((np.arange(MONTHS) - 6) * 2 * np.pi / MONTHS)
        return cls(
            config,
            (users * (config.taste / spread)).astype(np.float32),
            items.astype(np.float32),
            rng.normal(scale=0.5, size=config.items).astype(np.float32),
            category,
            _centred(config.hour * np.sqrt(2) * slope * evening),
            _centred(config.device * rng.normal(size=(categories, len(DEVICES)))),
            _centred(config.season * np.sqrt(2) * rng.normal(size=(categories, 1)) * summer),
            _centred(config.age * rng.normal(size=(categories, len(AGES)))),
            _centred(config.page * rng.normal(size=(1, len(PAGES))))[0],
            (np.arange(1, config.slots + 1, dtype=np.float64) ** -config.examination).astype(np.float32),
            rng.normal(-1.0, 0.5, size=config.items).astype(np.float32),
            rng.normal(-0.2, 0.5, size=config.items).astype(np.float32),
            rng.integers(len(AGES), size=config.users).astype(np.int32),
            rng.integers(len(COUNTRIES), size=config.users).astype(np.int32),
            rng.random(config.users) < config.bots,
        )

    def click_odds(
        self,
        users: NDArray[np.integer],
        items: NDArray[np.integer],
        hours: NDArray[np.integer],
        devices: NDArray[np.integer],
        pages: NDArray[np.integer],
        months: NDArray[np.integer],
    ) -> Floats:
        """Return the log-odds (n,) float32 that a user who looks at an item clicks on it; all arguments (n,)."""
        category = self.category[items]
        taste = np.einsum("nt,nt->n", self.users[users], self.items[items])
        odds = np.float32(self.config.base) + taste + self.quality[items] + self.page[pages]
        odds += self.hour[category, hours] + self.device[category, devices]
        odds += self.season[category, months] + self.age[category, self.user_age[users]]
        return odds.astype(np.float32)


def chance(odds: Floats) -> Floats:
    """Return probabilities from log-odds."""
    return (1 / (1 + np.exp(-odds))).astype(np.float32)


def _centred(effect: NDArray[np.floating]) -> Floats:
    """Take the mean over the last axis out, so that an effect is told apart from the base."""
    return (effect - effect.mean(axis=-1, keepdims=True)).astype(np.float32)
