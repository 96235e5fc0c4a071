"""Which records a sender takes in while the leader of one partition does not answer."""

import asyncio
from collections.abc import Callable

import pytest

from kindred.adapters.kafka import sender
from kindred.adapters.kafka.address import parse_address
from kindred.adapters.kafka.errors import translated
from kindred.adapters.kafka.sender import Outgoing, Sender
from kindred.core.errors import StoreUnavailable


class Message:
    def __init__(self, offset: int | None) -> None:
        self._offset = offset

    def offset(self) -> int | None:
        return self._offset


class Producer:
    """Acknowledges at once what is for any partition but 0, whose leader answers when it is told to."""

    def __init__(self) -> None:
        self.held: list[Callable[[None, Message], None]] = []
        self.count = 0

    def produce(
        self, topic: str, value: bytes, key: bytes, partition: int, report: Callable[[None, Message], None]
    ) -> None:
        self.count += 1
        if partition == 0:
            self.held.append(report)
        else:
            report(None, Message(self.count))

    def poll(self, seconds: float) -> None:
        pass

    def flush(self, seconds: float) -> None:
        while self.held:
            self.held.pop()(None, Message(7))


@pytest.fixture
def producer(monkeypatch: pytest.MonkeyPatch) -> Producer:
    made = Producer()
    monkeypatch.setattr(Sender, "_new_producer", lambda self: made)
    monkeypatch.setattr(sender, "STALLED_SECONDS", 0.0)
    return made


def to(*partitions: int) -> list[Outgoing]:
    return [Outgoing("topic", partition, b"key", b"value") for partition in partitions]


async def test_a_partition_whose_leader_does_not_answer_refuses_its_own_records_alone(producer: Producer) -> None:
    taking = Sender(parse_address("//nowhere/log"))
    try:
        # The one of partition 1 in the same call is acknowledged, and holds nobody up.
        stuck = asyncio.create_task(taking.send(to(1, 0)))
        await asyncio.sleep(0.01)
        assert [sent.error for sent in await taking.send(to(1, 2))] == [None, None]
        for refused in (to(0), to(1, 0)):
            with pytest.raises(StoreUnavailable, match="no append was acknowledged"):
                await taking.send(refused)
        assert producer.count == 4
        producer.flush(0)
        assert [sent.offset for sent in await stuck] == [1, 7]
        answered = asyncio.create_task(taking.send(to(0)))
        await asyncio.sleep(0)
        producer.flush(0)
        assert [sent.offset for sent in await answered] == [7]
    finally:
        taking.close()


@pytest.mark.parametrize("offset", [None, -1, -1001])
async def test_a_success_without_a_place_is_none(
    producer: Producer, offset: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(producer, "produce", lambda *args: args[-1](None, Message(offset)))
    taking = Sender(parse_address("//nowhere/log"))
    try:
        (sent,) = await taking.send(to(1))
        assert sent.error is not None
        assert "may be written" in str(translated("log", sent.error))
    finally:
        taking.close()


async def test_the_first_place_of_a_partition_is_one(producer: Producer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(producer, "produce", lambda *args: args[-1](None, Message(0)))
    taking = Sender(parse_address("//nowhere/log"))
    try:
        assert await taking.send(to(1)) == [(0, None)]
    finally:
        taking.close()
