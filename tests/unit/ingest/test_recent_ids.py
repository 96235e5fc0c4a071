"""Ids seen lately: found again, forgotten in the order of their coming, and never those of the server itself."""

from kindred.core.clock import DAY
from kindred.core.event import Interaction
from kindred.core.ids import new_id
from kindred.core.position import Position
from kindred.ingest.recent_ids import RecentIds


def event(event_id: str, user: str = "u", now: int = 0) -> Interaction:
    return Interaction(event_id=event_id, timestamp=now, ingested_at=now, user_id=user, item_id="i", event_type="view")


def test_an_id_is_found_for_its_user_alone_and_the_first_position_stays() -> None:
    recent = RecentIds()
    assert recent.find(event("a")) is None
    recent.remember(event("a"), Position(0, 0, 1))
    recent.remember(event("a"), Position(0, 0, 2))
    assert recent.find(event("a")) == Position(0, 0, 1)
    assert recent.find(event("a", user="v")) is None


def test_the_oldest_is_forgotten_first() -> None:
    recent = RecentIds(most=2)
    for offset, name in enumerate("abc"):
        recent.remember(event(name), Position(0, 0, offset))
    assert [recent.find(event(name)) is not None for name in "abc"] == [False, True, True]


def test_a_day_later_it_is_a_new_event() -> None:
    recent = RecentIds()
    recent.remember(event("a"), Position(0, 0, 1))
    assert recent.find(event("a", now=DAY - 1)) is not None
    assert recent.find(event("a", now=DAY)) is None
    recent.remember(event("a", now=DAY), Position(0, 0, 9))
    assert recent.find(event("a", now=DAY + 1)) == Position(0, 0, 9)


def test_ids_made_here_take_no_room() -> None:
    recent = RecentIds()
    own = event(new_id("evt"))
    recent.remember(own, Position(0, 0, 1))
    assert recent.find(own) is None
