"""The live loop end to end: one body, on embedded storage and on Kafka, Redis and PostgreSQL."""

import asyncio
from collections import Counter
from collections.abc import Callable

import pytest
from tests.e2e.platform.fleet import CONFIGURATIONS, Platform, platform
from tests.e2e.platform.inside import EVERYTHING, is_folded, opened, user_record
from tests.e2e.platform.server import Server, eventually, ids, kindred, recommend, track

__all__ = ["platform"]

USER = "someone-new"


def watched(server: Server, count: int) -> list[str]:
    """Watch what is recommended, one item after the other; each must leave the slate that follows."""
    seen: list[str] = []
    with server.client() as client:
        for _ in range(count):
            item = ids(recommend(client, USER, count=10))[0]
            track(client, USER, item)
            seen.append(item)
            eventually(lambda item=item: item not in ids(recommend(client, USER, count=10)), 40, 0.05)
    return seen


async def held(made: Platform, seen: list[str]) -> None:
    """Check that history and state hold each event once."""
    async with opened(made.home) as stores:
        while not await is_folded(stores):
            await asyncio.sleep(0.05)
        rows = await stores.interactions.by_user(USER, EVERYTHING)
        known = await stores.catalog.by_ordinals([row.item for row in rows])
        assert Counter(one.item.item_id for one in known if one is not None) == Counter(seen)
        record = await user_record(stores, USER)
        assert record is not None
        assert record.interactions == len(seen)
        assert not await stores.dead_letters.letters(None, 10)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("configuration", CONFIGURATIONS)
async def test_two_servers_two_consumers_and_one_of_each_killed(
    platform: Callable[[str], Platform], configuration: str
) -> None:
    """Import, train, track, recommend; what is left after a kill of each goes on, and every event counts once."""
    made = platform(configuration)
    kindred(made.home, "import", "--sample", timeout=200)
    kindred(made.home, "train", timeout=200)
    first, second = made.consumer(), made.consumer()
    servers = [made.server(), made.server()]
    seen = watched(servers[0], 3) + watched(servers[1], 2)
    owner = first if first.owner else second
    owner.kill()
    servers[0].kill()
    seen += watched(servers[1], 3)
    with servers[1].client() as client:
        said = recommend(client, USER, count=10)
        assert said["degraded"] == []
        assert any(row["anchor_item_id"] in seen for row in said["recommendations"])
    await held(made, seen)
