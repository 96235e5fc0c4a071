"""What a gate says: one thing looked at, and the refusal that names it."""

from collections.abc import Sequence
from typing import NamedTuple

from kindred.core.errors import BundleRefused


class Check(NamedTuple):
    """One thing looked at: `value` must not exceed `limit`."""

    name: str
    value: float
    limit: float
    said: str

    @property
    def passed(self) -> bool:
        """Say whether it holds; what is no number does not."""
        return self.value <= self.limit


class GateRefused(BundleRefused):
    """A training did not pass the gate; the active bundle stays."""

    def __init__(self, failed: Sequence[Check], active: str | None) -> None:
        """Say which checks it were, and by how much."""
        stays = f"bundle {active} stays" if active else "there is still no bundle"
        said = "; ".join(f"{check.name}: {check.said}" for check in failed)
        super().__init__(f"the new bundle was refused, {stays}: {said}")
        self.checks = tuple(failed)
