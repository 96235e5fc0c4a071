"""What every log with the capability `groups` must do: subclass `MembershipSuite`, say how yours is opened."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kindred.ports.log import GroupedLog, Membership

Claims = Sequence[Mapping[int, int]]


class MembershipSuite:
    """The suite of GroupedLog; it needs pytest and pytest-asyncio in its automatic mode, and a log of ≥ 2 partitions.

    `patience`: seconds that a rebalance may take. Members are asked for their claims again and again, as a consumer
    does; a log may need that to move partitions.
    """

    patience = 60.0

    async def open_store(self, home: Path) -> GroupedLog:
        """Open a new log with several partitions."""
        pytest.fail(f"{type(self).__name__} must say in open_store how its log is opened")

    @asynccontextmanager
    async def opened(self, home: Path) -> AsyncIterator[GroupedLog]:
        """Open the log for a block and close it behind it."""
        log = await self.open_store(home)
        try:
            yield log
        finally:
            await log.close()

    async def settled(self, members: Sequence[Membership], enough: Callable[[Claims], bool]) -> Claims:
        """Ask all members until their claims are `enough`; return them."""
        end = time.monotonic() + self.patience
        while True:
            claims = [dict(await member.claims()) for member in members]
            if enough(claims):
                return claims
            assert time.monotonic() < end, f"the group did not settle: {claims}"
            await asyncio.sleep(0.02)

    @staticmethod
    def shared(count: int) -> Callable[[Claims], bool]:
        """Say whether each of `count` partitions has one owner, and every member some."""

        def enough(claims: Claims) -> bool:
            return all(claims) and sorted(part for claim in claims for part in claim) == list(range(count))

        return enough

    async def test_one_member_owns_everything(self, tmp_path: Path) -> None:
        """It holds what it claims under the numbers that it was told, and asking again changes nothing."""
        async with self.opened(tmp_path) as log:
            count = len(await log.ends())
            member = await log.join("consumer")
            (claims,) = await self.settled([member], self.shared(count))
            assert all([await member.holds(partition, fence) for partition, fence in claims.items()])
            assert not await member.holds(0, claims[0] + 1)
            assert dict(await member.claims()) == claims
            await member.leave()

    async def test_partitions_move_when_members_come_and_go(self, tmp_path: Path) -> None:
        """Every partition has one owner; a number grows with each change of owner; who left owns nothing."""
        async with self.opened(tmp_path) as log:
            count = len(await log.ends())
            first = await log.join("consumer")
            (alone,) = await self.settled([first], self.shared(count))
            second = await log.join("consumer")
            one, other = await self.settled([first, second], self.shared(count))
            assert all(fence > alone[partition] for partition, fence in other.items())
            for partition in other:
                assert not await first.holds(partition, alone[partition])
            await first.leave()
            await first.leave()
            assert dict(await first.claims()) == {}
            (all_of_it,) = await self.settled([second], self.shared(count))
            assert all(all_of_it[partition] > fence for partition, fence in one.items())
            await second.leave()

    async def test_groups_know_nothing_of_one_another(self, tmp_path: Path) -> None:
        """Members of two groups each own everything."""
        async with self.opened(tmp_path) as log:
            count = len(await log.ends())
            members = [await log.join("consumer"), await log.join("items")]
            await self.settled(members[:1], self.shared(count))
            await self.settled(members[1:], self.shared(count))
            for member in members:
                await member.leave()
