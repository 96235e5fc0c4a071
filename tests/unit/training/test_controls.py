"""Who is who, by what the lake says about merges."""

from kindred.core.position import START
from kindred.training.controls import Controls


def test_aliases_follow_chains_to_their_end():
    """A circle of merges ends at the first of its names, as it does in the fold."""
    pairs = ["ab", "bc", "yx", "xy", "vy"]
    controls = Controls(merged={user: (into, (START, 0)) for user, into in pairs})
    assert controls.aliases == {"a": "c", "b": "c", "y": "x", "x": "x", "v": "x"}
