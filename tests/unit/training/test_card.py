"""A model card says what the record holds, and derives limits from facts alone."""

from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from tests.unit.training.tastes import N_ITEMS, tastes

from kindred.core.bundle import DataWindow, Manifest
from kindred.evaluation.item_sets import from_pairs
from kindred.training.card import FILE, card, limits, write_card
from kindred.training.facts import data_facts, segments
from kindred.training.records import CheckRecord, Figure, RunRecord, from_manifest

RECORD = RunRecord(
    version="20260101T000000Z-abcdef",
    started=1_700_000_000_000,
    finished=1_700_000_060_000,
    outcome="published",
    parameters={"als": {"factors": 64}, "training": {"seed": 42}},
    window=DataWindow(first=1_600_000_000_000, last=1_700_000_000_000, interactions=1234, users=60, items=40),
    metrics={"gate.ndcg@10.candidate": Figure(0.25, 0.2, 0.3, 60), "index.als.recall": Figure(1.0)},
    segments={"ndcg@10 by a user's interactions": {"1 to 4": Figure(0.0, 0.0, 0.0, 7), "5 to 19": Figure(0.3)}},
    importances={"model.als": 0.7, "user.age": 0.3},
    facts={"listed_items": 40.0, "cold_items": 0.25, "untouched_items": 0.1, "largest_user": 0.5},
    seconds={"als": 2.0, "gate": 3.0},
    gate=[
        CheckRecord(name="popularity", passed=True, value=0.0, limit=0.0, said="not worse"),
        CheckRecord(name="active", passed=True, value=None, limit=None, said="there is no active bundle"),
    ],
    seed=42,
    peak_mib=321.0,
)


def test_the_card_holds_data_figures_segments_limits_and_settings(tmp_path: Path) -> None:
    write_card(tmp_path, RECORD)
    text = (tmp_path / FILE).read_text()
    assert text == card(RECORD)
    headings = [line for line in text.splitlines() if line.startswith("## ")]
    assert headings == [
        "## Data",
        "## Quality on held-back rows",
        "## By segment",
        "## What the ranker looks at",
        "## Known limits",
        "## Checks before publishing",
        "## Settings",
    ]
    for line in (
        "# Model card: bundle 20260101T000000Z-abcdef",
        "| interactions | 1,234 |",
        "| gate.ndcg@10.candidate | 0.25 | 0.2 to 0.3 | 60 |",
        "| 1 to 4 | 0 | 0 to 0 | 7 |",
        "| model.als | 70.0% |",
        "| active | not judged | there is no active bundle |",
        "als.factors = 64",
    ):
        assert line in text.splitlines()
    assert "index.als.recall" not in text


def test_limits_come_from_facts() -> None:
    said = " ".join(limits(RECORD))
    assert "25.0% of the 40 listed items have fewer than ten interactions (10.0% have none)" in said
    assert "One user made 50.0% of all rows" in said
    assert "Nothing was found in the segment “1 to 4”" in said
    assert "Not judged: active: there is no active bundle." in said
    assert "Figures rest on 60 users" in said
    sound = replace(
        RECORD,
        facts={"listed_items": 40.0, "cold_items": 0.0, "largest_user": 0.001},
        segments={},
        gate=[],
        metrics={"m": Figure(0.2, 0.1, 0.3, 5000)},
    )
    (only,) = limits(sound)
    assert only.startswith("Measured offline")


def test_a_card_of_a_bare_manifest_leaves_out_what_nobody_knows() -> None:
    text = card(from_manifest(Manifest(version="v", created=0)))
    assert "## By segment" not in text
    assert "## What the ranker looks at" not in text
    assert "No figure has an interval" in text


def test_facts_of_the_data() -> None:
    data = tastes(users=4, each=10)
    rows = data.interactions
    rows.timestamps[:4] = -1
    keep = np.concatenate([np.arange(10), np.arange(10, 20), np.arange(20, 30), [30]])
    facts = data_facts(data.with_rows(keep))
    assert facts["listed_items"] == N_ITEMS
    assert facts["users_with_one_interaction"] == 0.25
    assert facts["largest_user"] == pytest.approx(10 / 31, abs=1e-6)
    assert facts["rows_without_time"] == pytest.approx(4 / 31, abs=1e-6)
    assert facts["cold_items"] == 1.0
    assert facts["untouched_items"] == pytest.approx(1 - len(np.unique(rows.items[keep])) / N_ITEMS, abs=1e-6)
    nothing = data_facts(data.with_rows(np.empty(0, np.intp)))
    assert (nothing["untouched_items"], nothing["largest_user"], nothing["rows_without_time"]) == (1.0, 0.0, 0.0)


def test_segments_of_lists() -> None:
    data = tastes(users=6, each=12)
    users = np.arange(6)
    ranked = np.tile(np.arange(10, dtype=np.int32), (6, 1))
    found = segments(ranked, from_pairs(users, np.zeros(6, int), 6), data, users)
    activity, popularity = found.values()
    assert list(found) == ["ndcg@10 by a user's interactions", "recall@10 by an item's popularity"]
    assert activity == {"5 to 19": Figure(1.0, 1.0, 1.0, 6)}
    assert sum(figure.users or 0 for figure in popularity.values()) == 6
    assert {figure.value for figure in popularity.values()} == {1.0}
