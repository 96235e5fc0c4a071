"""Who folds which partitions: a log's own groups, or a lease where the log has none."""

from collections.abc import Mapping
from typing import cast

from kindred.ports.log import EventLog, GroupedLog, Membership, all_partitions
from kindred.ports.operations import Leases


class LeasedMembership:
    """Gives all partitions of a log to whoever holds a lease; the others stand by."""

    def __init__(self, leases: Leases, name: str, owner: str, partitions: int = 1) -> None:
        """Ask `leases` for `name` as `owner`; nothing is taken before `claims`."""
        self._leases, self._name, self._owner, self._partitions = leases, name, owner, partitions
        self._fence: int | None = None

    async def claims(self) -> Mapping[int, int]:
        """Return every partition with the lease's fencing number, or nothing while another holds the lease."""
        if self._fence is None or not await self._leases.holds(self._name, self._fence):
            self._fence = await self._leases.acquire(self._name, self._owner)
        return {} if self._fence is None else dict.fromkeys(range(self._partitions), self._fence)

    async def holds(self, partition: int, fence: int) -> bool:
        """Say whether the lease is still held under `fence`."""
        return 0 <= partition < self._partitions and await self._leases.holds(self._name, fence)

    async def leave(self) -> None:
        """Give the lease back."""
        if self._fence is not None:
            fence, self._fence = self._fence, None
            await self._leases.release(self._name, fence)


async def join(log: EventLog, leases: Leases, group: str, owner: str) -> Membership:
    """Become a member of a group: by the log's own means where it has them, else by the lease of the group's name."""
    if log.capabilities.groups:
        return await cast(GroupedLog, log).join(group)
    return LeasedMembership(leases, group, owner, len(await all_partitions(log)))
