"""An item that sold in December alone is proposed, and shown, again the next December."""

from dataclasses import replace
from datetime import UTC, datetime

import msgspec
import numpy as np
from tests.unit.training.ranking.test_examples import CONFIGS, PORTS
from tests.unit.training.tastes import N_ITEMS, tastes

from kindred.models.preference import Interactions
from kindred.training.bundle import trial_models
from kindred.training.fit.models import fit_models
from kindred.training.holdout import configured_blend
from kindred.training.replay import Replay

USERS = 40
SANTA = N_ITEMS - 1


def at(year: int, month: int) -> int:
    return int(datetime(year, month, 3, tzinfo=UTC).timestamp() * 1000)


def a_year_of_sales() -> Interactions:
    """Return purchases from December 2022 on: item 39 in the first month alone, by all, the others all the year."""
    rng = np.random.default_rng(1)
    rows = [(user, SANTA, at(2022, 12) + user) for user in range(USERS)]
    for month in range(1, 12):
        rows += [(user, int(rng.integers(SANTA)), at(2023, month) + user) for user in range(USERS) for _ in range(4)]
    users, items, times = np.array(rows, np.int64).T
    nothing = np.full(len(rows), np.nan, np.float32)
    kinds = np.zeros(len(rows), np.int16)
    return Interactions(users.astype(np.int32), items.astype(np.int32), times, kinds, nothing, ("purchase",))


async def test_a_december_peak_comes_back_after_eleven_silent_months(tmp_path):
    data = replace(tastes(USERS + 1), interactions=a_year_of_sales())
    fitted = fit_models(data, CONFIGS, at(2023, 12))
    models = trial_models(fitted, configured_blend(CONFIGS), tmp_path, PORTS.indexes)
    # Other sources propose few, so that what they know of last year is not among it.
    few = msgspec.structs.replace(CONFIGS.recommend, source_depth=3, candidates=100, exploration=0.0)
    plain = await Replay.open(data, models, np.arange(USERS + 1), PORTS, CONFIGS)
    stranger = USERS

    async def slate(season: float, month: int, year: int = 2023) -> list[int]:
        replay = plain.under(msgspec.structs.replace(few, season=season))
        proposed = await replay.propose(stranger, at(year, month), 3)
        assert ("season" in proposed.parts) == (season > 0)
        return (await replay.slate(stranger, at(year, month), 3)).tolist()

    assert SANTA in await slate(1.0, 12)
    assert SANTA not in await slate(0.0, 12)
    assert SANTA not in await slate(1.0, 7, 2024)
