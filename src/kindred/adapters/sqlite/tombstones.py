"""What was forgotten and removed from the history in SQLite, and up to where: no late writer brings it back."""

import sqlite3
from collections.abc import Iterable

from kindred.adapters.sqlite.store import select_in
from kindred.core.ids import hashed_id
from kindred.core.position import Position
from kindred.ports.interactions import EVERY_ITEM, EVERY_TYPE, Tombstone

# A forgotten user is known by a hash alone; positions are bytes whose order is theirs.
TOMBSTONES = """
CREATE TABLE IF NOT EXISTS tombstones (
    user BLOB NOT NULL,
    item INTEGER NOT NULL,
    type TEXT NOT NULL,
    position BLOB NOT NULL,
    PRIMARY KEY (user, item, type)
) WITHOUT ROWID;
"""
_RAISE = """
INSERT INTO tombstones VALUES (?, ?, ?, ?)
ON CONFLICT DO UPDATE SET position = excluded.position WHERE excluded.position > position
"""


def standing(connection: sqlite3.Connection, users: Iterable[str], position: Position) -> set[Tombstone]:
    """Return the tombstones of users that stand at or behind a position."""
    if connection.execute("SELECT 1 FROM tombstones LIMIT 1").fetchone() is None:
        return set()
    found = select_in(
        connection, "SELECT user, item, type, position FROM tombstones WHERE user IN ({})", map(hashed_id, users)
    )
    least = position.sortable()
    return {(user, item, kind) for user, item, kind, place in found if place >= least}


def forgetting(connection: sqlite3.Connection, user_id: str, position: Position) -> bool:
    """Set the tombstone of a user; return False where one of that position or a later one stands."""
    user, place = hashed_id(user_id), position.sortable()
    if not connection.execute(_RAISE, (user, EVERY_ITEM, EVERY_TYPE, place)).rowcount:
        return False
    connection.execute(
        "DELETE FROM tombstones WHERE user = ? AND item <> ? AND position <= ?", (user, EVERY_ITEM, place)
    )
    return True


def removing(
    connection: sqlite3.Connection, user_id: str, item: int, kinds: Iterable[str], position: Position
) -> list[str]:
    """Set the tombstones of a user's item and types; return the types that had none so late."""
    user = hashed_id(user_id)
    if (user, EVERY_ITEM, EVERY_TYPE) in standing(connection, [user_id], position):
        return []
    place = position.sortable()
    return [kind for kind in kinds if connection.execute(_RAISE, (user, item, kind, place)).rowcount]
