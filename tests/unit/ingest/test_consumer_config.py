"""Settings with which the consumer could not work are refused by name."""

import pytest

from kindred.core.config import decode
from kindred.core.errors import ConfigError
from kindred.ingest.consumer import ConsumerConfig


@pytest.mark.parametrize(
    "table",
    [
        {"batch": 0},
        {"idle_poll": 0.0},
        {"retry_first": -1.0},
        {"fold": {"recent_events": 0}},
        {"fold": {"history_rows": 0}},
        {"fold": {"seen_items": 0}},
        {"fold": {"lateness": -1}},
    ],
)
def test_what_would_stand_still_or_spin_is_refused(table: dict[str, object]) -> None:
    """A batch of none, no pause, no room for a single event."""
    (name,) = table
    with pytest.raises(ConfigError, match=name):
        decode(ConsumerConfig, table, "consumer")


def test_devices_that_would_be_counted_as_one_are_refused() -> None:
    """Their counters would share a place."""
    with pytest.raises(ConfigError, match="'replay_skip_intro_36' and 'pause_cast_68' cannot both be counted"):
        decode(ConsumerConfig, {"fold": {"devices": ["tv", "pause_cast_68", "replay_skip_intro_36"]}}, "consumer")
