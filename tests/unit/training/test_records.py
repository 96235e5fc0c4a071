"""Records of runs are kept, bounded, and compared field by field."""

import logging
from pathlib import Path

import numpy as np
import pytest

from kindred.core.bundle import DataWindow, Manifest
from kindred.core.errors import NotFound
from kindred.evaluation.intervals import Interval
from kindred.training.comparison import Pair, compare
from kindred.training.records import CheckRecord, Figure, RunRecord, RunRecords, from_manifest, peak_mib


def run(version: str, **more: object) -> RunRecord:
    return RunRecord(version=version, started=1, finished=2, outcome="published", **more)  # type: ignore[arg-type]


def test_a_record_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    metrics = {
        "ndcg@10": Figure.of(Interval(0.2, 0.1, 0.3, 40)),
        "undefined": Figure.of(Interval(np.nan, np.nan, np.nan, 0)),
        "coverage": Figure.of(float("inf")),
    }
    check = CheckRecord(name="popularity", passed=False, value=-0.1, limit=0.0, said="worse than popularity by .1")
    written = run("v1", metrics=metrics, gate=[check], window=DataWindow(users=3), parameters={"als": {"factors": 8}})
    RunRecords(tmp_path).write(written)
    read = RunRecords(tmp_path).read("v1")
    assert read == written
    assert read.metrics["ndcg@10"] == Figure(0.2, 0.1, 0.3, 40)
    assert read.metrics["undefined"] == Figure(None, None, None, 0)
    assert read.metrics["coverage"] == Figure(None)


def test_only_the_newest_are_kept_and_a_rerun_replaces_its_own(tmp_path: Path) -> None:
    kept = RunRecords(tmp_path, keep=3)
    for day in (3, 1, 2, 5, 4):
        kept.write(run(f"2026010{day}T000000Z-aaaaaa"))
    kept.write(run("20260105T000000Z-aaaaaa", error="again"))
    found = kept.records()
    assert [record.version[:8] for record in found] == ["20260105", "20260104", "20260103"]
    assert found[0].error == "again"


@pytest.mark.parametrize("version", ["absent", "../outside", "", ".hidden", "a/b"])
def test_what_is_not_kept_is_not_found(tmp_path: Path, version: str) -> None:
    (tmp_path / "outside.json").write_text("{}")
    with pytest.raises(NotFound):
        RunRecords(tmp_path).read(version)


def test_a_broken_file_hides_no_other(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    kept = RunRecords(tmp_path)
    kept.write(run("a"))
    (tmp_path / "runs" / "b.json").write_text('{"version": 3')
    assert [record.version for record in kept.records()] == ["a"]
    assert "b.json" in caplog.text


def test_a_training_does_not_fail_for_its_record(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "runs").write_text("a file where the folder should be")
    with caplog.at_level(logging.WARNING):
        RunRecords(tmp_path).write(run("a"))
    assert "the record of run a is not kept" in caplog.text


def test_a_bundle_without_a_record_tells_what_it_knows() -> None:
    manifest = Manifest(
        version="d", base="b", created=7, metrics={"x": 0.5}, parameters={"training": {"seed": 9}}, seconds={"als": 1.0}
    )
    found = from_manifest(manifest)
    assert (found.kind, found.seed, found.metrics, found.seconds) == ("increment", 9, {"x": Figure(0.5)}, {"als": 1.0})


def test_a_comparison_holds_what_differs_and_every_metric() -> None:
    a = run(
        "a", seed=1, parameters={"als": {"factors": 64, "seed": 1}}, window=DataWindow(users=10, items=4),
        metrics={"ndcg": Figure(0.1, 0.08, 0.12), "recall": Figure(0.3), "gone": Figure(1.0)}, seconds={"als": 2.0},
    )  # fmt: skip
    b = run(
        "b", seed=1, parameters={"als": {"factors": 128, "seed": 1}, "ease": {"l2": 5}},
        window=DataWindow(users=11, items=4),
        metrics={"ndcg": Figure(0.15, 0.13, 0.17), "recall": Figure(0.2, 0.1, 0.3)}, seconds={"als": 1.0, "ease": 3.0},
        gate=[CheckRecord(name="coverage", passed=True, value=0.5, limit=0.1)],
    )  # fmt: skip
    found = compare(a, b)
    assert found.parameters == {"als.factors": Pair(64, 128), "ease.l2": Pair(None, 5)}
    assert found.facts == {"window.users": Pair(10, 11), "gate.coverage": Pair(None, "passed")}
    assert found.metrics["ndcg"].difference == pytest.approx(0.05)
    assert found.metrics["ndcg"].apart is True
    assert (found.metrics["recall"].apart, found.metrics["gone"].difference) == (None, None)
    assert found.seconds == {"als": Pair(2.0, 1.0), "ease": Pair(None, 3.0)}
    assert compare(a, a).facts == compare(a, a).parameters == {}


def test_touching_intervals_are_not_apart() -> None:
    a = run("a", metrics={"m": Figure(0.1, 0.05, 0.2)})
    b = run("b", metrics={"m": Figure(0.3, 0.2, 0.4)})
    assert compare(a, b).metrics["m"].apart is False
    assert compare(b, a).metrics["m"].apart is False


def test_the_peak_of_memory_never_falls() -> None:
    before = peak_mib()
    block = np.ones(30_000_000)
    assert peak_mib() >= max(before, block.nbytes / 2**20)
