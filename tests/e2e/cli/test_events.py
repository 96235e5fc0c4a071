"""`kindred events dead-letters` on a real data folder."""

import asyncio
import json
from pathlib import Path

from tests.e2e.cli.conftest import runner

from kindred.adapters.sqlite.dead_letters import SqliteDeadLetters
from kindred.core.event import Interaction, ProfileErased, encode_event
from kindred.core.position import Position
from kindred.ports.log import DeadLetter

NOW = 1_700_000_000_000


def bury(home: Path, *letters: tuple[int, bytes]) -> None:
    """Put letters at offsets where no erasure is behind them."""

    async def write() -> None:
        store = SqliteDeadLetters(home / "dead_letters.sqlite")
        await store.bury([DeadLetter(Position(0, 0, offset), "unreadable: a test", data) for offset, data in letters])
        await store.close()

    home.mkdir(parents=True, exist_ok=True)
    asyncio.run(write())


def event(user: str) -> bytes:
    """Return the bytes of an interaction."""
    return encode_event(
        Interaction(
            event_id=f"evt_{user}", timestamp=NOW, ingested_at=NOW, user_id=user, item_id="i1", event_type="view"
        )
    )


def test_letters_are_listed_replayed_and_discarded(tmp_path: Path) -> None:
    home = tmp_path / "home"
    kindred = runner(home)
    assert "no dead letters" in kindred("events", "dead-letters", "list").stdout
    gone = encode_event(ProfileErased(event_id="g", timestamp=NOW, ingested_at=NOW, user_id="ann"))
    bury(home, (3, event("ann")), (4, b"\xff"), (5, gone), (6, event("bob")))
    listed = json.loads(kindred("events", "dead-letters", "list", "--json").stdout)
    assert [letter["position"] for letter in listed] == ["0.0.3", "0.0.4", "0.0.5", "0.0.6"]
    assert "--after 0.0.3" in kindred("events", "dead-letters", "list", "--limit", "1").stderr

    neither = kindred("events", "dead-letters", "replay")
    assert neither.returncode == 2
    assert "--all" in neither.stderr
    wrong = kindred("events", "dead-letters", "discard", "0.0.77")
    assert wrong.returncode == 2
    assert "0.0.77" in wrong.stderr
    one = json.loads(kindred("events", "dead-letters", "replay", "0.0.6", "--json").stdout)
    assert one == {"replayed": 1, "erased": 0, "kept": []}

    rest = kindred("events", "dead-letters", "replay", "--all")
    assert "Replayed 2" in rest.stdout, rest.stderr
    assert "0.0.4" in rest.stdout
    assert "Discarded 1" in kindred("events", "dead-letters", "discard", "--all").stdout
    assert json.loads(kindred("events", "dead-letters", "list", "--json").stdout) == []
