"""The Prometheus meter: names, kinds, labels, and that two meters never mix."""

import pytest

from kindred.monitoring.prometheus import PrometheusMeter


def test_each_kind_is_exposed_under_its_name() -> None:
    meter = PrometheusMeter()
    meter.count("events", 2, kind="view")
    meter.count("events", kind="view")
    meter.count("restarts")
    meter.observe("fold_seconds", 0.0015, group="user")
    meter.observe("batch", 70)
    meter.gauge("lag", 4.5)
    meter.gauge("lag", 3)
    text = meter.expose().decode()
    assert 'kindred_events_total{kind="view"} 3.0' in text
    assert "kindred_restarts_total 1.0" in text
    assert 'kindred_fold_seconds_bucket{group="user",le="0.001"} 0.0' in text
    assert 'kindred_fold_seconds_bucket{group="user",le="0.002"} 1.0' in text
    assert 'kindred_batch_bucket{le="100.0"} 1.0' in text
    assert "kindred_lag 3.0" in text


def test_two_meters_never_mix() -> None:
    first, second = PrometheusMeter(), PrometheusMeter()
    first.count("events")
    assert b"kindred_events" not in second.expose()


def test_one_name_keeps_its_kind_and_labels() -> None:
    meter = PrometheusMeter()
    meter.count("events", kind="view")
    with pytest.raises(ValueError, match="events"):
        meter.gauge("events", 1.0)
    with pytest.raises(ValueError, match="label"):
        meter.count("events", other="view")
