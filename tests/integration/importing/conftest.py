"""Stores in memory and a small shop's files."""

import json
from pathlib import Path

import pytest

from kindred.adapters.memory.catalog import MemoryCatalog
from kindred.adapters.memory.event_log import MemoryEventLog
from kindred.adapters.memory.interactions import MemoryInteractions
from kindred.adapters.memory.leases import MemoryLeases
from kindred.adapters.memory.profiles import MemoryProfiles
from kindred.ingest.importing import ImportStores

EVENTS = [
    {"who": "ann", "what": 1, "did": "bought", "when": "2024-01-01T10:00:00Z", "price": 2.5, "n": 2, "bill": "b1"},
    {"who": "ann", "what": 1, "did": "bought", "when": "2024-01-01T10:00:00Z", "price": 2.5, "n": 2, "bill": "b1"},
    {"who": "bob", "what": 2, "did": "viewed", "when": "2024-01-02T10:00:00Z", "price": None, "n": None, "bill": "b2"},
    {"who": "bob", "what": 3, "did": "bought", "when": "2024-01-03T10:00:00Z", "price": 4.0, "n": 1, "bill": "b3"},
    {"who": "bob", "what": 3, "did": "returned", "when": "2024-01-04T10:00:00Z", "price": 4.0, "n": -1, "bill": "b4"},
    {"who": None, "what": 2, "did": "viewed", "when": None, "price": None, "n": None, "bill": "b5"},
]
MAPPING = """
source = "shop"
[items]
path = "items.csv"
attributes = ["year"]
numeric_attributes = ["year"]
columns = { item_id = "id", title = "name", categories = { column = "cats", delimiter = "|" }, price = "price" }
[users]
path = "users.csv"
columns = { user_id = "id", country = "country" }
[interactions]
path = "events.jsonl"
events = { bought = "purchase", viewed = "view", returned = "cancellation" }
missing_user = "anon:bill"
cancellation = { event = "cancellation" }
[interactions.columns]
user_id = "who"
item_id = "what"
event_type = "did"
timestamp = "when"
value = "price"
quantity = "n"
session = "bill"
"""


def write_events(folder: Path, events: list[dict[str, object]]) -> None:
    """Write the shop's events."""
    (folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A folder with the files of a small shop and their mapping."""
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "items.csv").write_text("id,name,cats,price,year\n1,Cup,kitchen|new,2.5,2020\n2,Pen,office,1,\n")
    (folder / "users.csv").write_text("id,country\nann,de\nzoe,FR\n")
    (folder / "mapping.toml").write_text(MAPPING)
    write_events(folder, EVENTS)
    return folder


@pytest.fixture
def stores(tmp_path: Path) -> ImportStores:
    """Empty stores in memory and an empty lake."""
    return ImportStores(
        catalog=MemoryCatalog(),
        profiles=MemoryProfiles(),
        interactions=MemoryInteractions(),
        log=MemoryEventLog(),
        leases=MemoryLeases(),
        lake=tmp_path / "home" / "lake",
    )
