"""Writes of many callers, handed over together."""

import asyncio

import pytest

from kindred.recommend.effects.gathered import Gathered


async def test_callers_of_a_moment_share_one_batch_and_wait_for_it():
    batches = []

    async def handle(items):
        batches.append(list(items))

    gathered = Gathered(handle, 0.01)
    await asyncio.gather(*(gathered([number]) for number in range(5)))
    assert batches == [[0, 1, 2, 3, 4]]
    await gathered([9])
    assert batches[1:] == [[9]]


async def test_a_failure_reaches_every_caller_and_the_next_batch_is_tried():
    calls = []

    async def handle(items):
        calls.append(list(items))
        if len(calls) == 1:
            raise OSError("gone")

    gathered = Gathered(handle, 0.01)
    results = await asyncio.gather(gathered([1]), gathered([2]), return_exceptions=True)
    assert [type(result) for result in results] == [OSError, OSError]
    await gathered([3])
    assert calls == [[1, 2], [3]]


async def test_a_cancelled_caller_leaves_the_batch_to_the_others():
    done = []

    async def handle(items):
        done.extend(items)

    gathered = Gathered(handle, 0.02)
    first, second = asyncio.create_task(gathered([1])), asyncio.create_task(gathered([2]))
    await asyncio.sleep(0)
    first.cancel()
    await second
    with pytest.raises(asyncio.CancelledError):
        await first
    assert done == [1, 2]
