"""A group of consumers in one process: partitions are shared out anew whenever a member comes or goes."""

from collections.abc import Mapping


class MemoryGroup:
    """Who owns which partition, and how often each has changed hands."""

    def __init__(self, partitions: int) -> None:
        """Start with no members."""
        self._partitions = partitions
        self._members: list[MemoryMembership] = []
        self._owners: dict[int, MemoryMembership] = {}
        self._fences: dict[int, int] = {}

    @property
    def deserted(self) -> bool:
        """Say whether there is no member."""
        return not self._members

    def join(self) -> "MemoryMembership":
        """Add a member."""
        member = MemoryMembership(self)
        self.admit(member)
        return member

    def admit(self, member: "MemoryMembership") -> None:
        """Take a member in, unless it is in already."""
        if member not in self._members:
            self._members.append(member)
            self._share_out()

    def expel(self, member: "MemoryMembership") -> None:
        """Let a member go, or count it as dead: it may come back as a new one."""
        if member in self._members:
            self._members.remove(member)
            self._share_out()

    def resize(self, partitions: int) -> None:
        """Share out another number of partitions."""
        if partitions != self._partitions:
            self._partitions = partitions
            self._share_out()

    def owned(self, member: "MemoryMembership") -> dict[int, int]:
        """Return a member's partitions with their fencing numbers."""
        return {partition: self._fences[partition] for partition, owner in self._owners.items() if owner is member}

    def _share_out(self) -> None:
        owners = {
            partition: self._members[partition % len(self._members)]
            for partition in range(self._partitions if self._members else 0)
        }
        for partition, owner in owners.items():
            if self._owners.get(partition) is not owner:
                self._fences[partition] = self._fences.get(partition, 0) + 1
        self._owners = owners


class MemoryMembership:
    """One member; `expel` of its group makes a zombie of it until it asks for its claims again."""

    def __init__(self, group: MemoryGroup) -> None:
        """Belong to `group`."""
        self.group = group
        self._left = False

    async def claims(self) -> Mapping[int, int]:
        """Return the partitions owned now with their fencing numbers; a member that was expelled joins again."""
        if self._left:
            return {}
        self.group.admit(self)
        return self.group.owned(self)

    async def holds(self, partition: int, fence: int) -> bool:
        """Say whether a partition is still owned under `fence`."""
        return self.group.owned(self).get(partition) == fence

    async def leave(self) -> None:
        """Give all partitions back."""
        self._left = True
        self.group.expel(self)
