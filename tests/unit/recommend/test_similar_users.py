"""People like one user, found in the live history."""

import numpy as np
import pytest
from tests.unit.recommend.world import NOW, build

from kindred.core.errors import NotFound
from kindred.core.event import Merged, ProfileErased
from kindred.ports.interactions import InteractionColumns
from kindred.recommend.ask import SimilarUsersAsk
from kindred.recommend.config import RecommendConfig

CONFIG = RecommendConfig(exploration=0.0, seed=7)


@pytest.fixture
async def platform(tmp_path):
    platform = await build(tmp_path, config=CONFIG)
    rows = platform.columns
    await platform.stores.interactions.add_columns(
        InteractionColumns(
            np.array([f"{n:016d}".encode() for n in range(len(rows))], "S16"),
            [platform.user_ids[user] for user in rows.users.tolist()],
            rows.items,
            [rows.names[code] for code in rows.event_types.tolist()],
            rows.timestamps,
            rows.values.astype(np.float64),
        )
    )
    return platform


async def similar(platform, user_id, count=10):
    return await platform.serving.similar_users(SimilarUsersAsk(user_id, count))


async def test_they_share_the_taste(platform):
    answer = await similar(platform, "u1")
    names = [user for user, _, _ in answer.users]
    assert len(names) == len(set(names)) == 10
    assert "u1" not in names
    similarities = [similarity for _, similarity, _ in answer.users]
    assert similarities == sorted(similarities, reverse=True)
    assert all(0 < similarity <= 1 for similarity in similarities)
    mine = items_of(platform, "u1")
    for user, _, common in answer.users:
        assert 0 < common <= len(mine & items_of(platform, user))
    assert len((await similar(platform, "u1", 3)).users) == 3


def items_of(platform, user_id):
    rows = platform.columns
    return set(rows.items[rows.users == platform.user_ids.index(user_id)].tolist())


async def test_an_unknown_user_is_said(platform):
    with pytest.raises(NotFound, match="nobody"):
        await similar(platform, "nobody")


async def test_who_is_erased_or_merged_away_never_appears(platform):
    first, second, third = ([user for user, _, _ in (await similar(platform, "u1")).users])[:3]
    erased = ProfileErased(event_id="e1", timestamp=NOW, ingested_at=NOW, user_id=first)
    merged = Merged(event_id="e2", timestamp=NOW, ingested_at=NOW, user_id=second, into=third)
    *_, last = await platform.journal.record([erased, merged])
    await platform.consumer.drain_to(last)
    answer = await similar(platform, "u1", 100)
    names = {user for user, _, _ in answer.users}
    assert names.isdisjoint({first, second})
    assert third in names


async def test_a_merged_user_is_asked_for_by_either_name(platform):
    merged = Merged(event_id="e2", timestamp=NOW, ingested_at=NOW, user_id="u2", into="u1")
    *_, last = await platform.journal.record([merged])
    await platform.consumer.drain_to(last)
    answer = await similar(platform, "u2")
    assert answer == await similar(platform, "u1")
    assert answer.user_id == "u1"
    assert {"u1", "u2"}.isdisjoint(user for user, _, _ in answer.users)
