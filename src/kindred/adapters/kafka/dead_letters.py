"""Dead letters on Kafka: a compacted topic of one partition, keyed by position."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from kindred.adapters.kafka.address import Address, parse_address
from kindred.adapters.kafka.errors import translated
from kindred.adapters.kafka.reading import Readers, Row
from kindred.adapters.kafka.sender import Outgoing, Sender
from kindred.adapters.kafka.topics import BATCH_OVERHEAD, RECORD_BYTES, Topics
from kindred.core.errors import InvalidInput, StoreUnavailable
from kindred.core.position import Position
from kindred.ports.log import DeadLetter
from kindred.ports.resource import Capabilities

T = TypeVar("T")

_BATCH = 1_000
_REASON_CHARACTERS = 2_000
_LETTER_BYTES = RECORD_BYTES + (16 << 10)
_TOMBSTONE_MS = 7 * 86_400_000


class KafkaDeadLetters:
    """Letters in the topic `<name>.letters`; memory holds where each one stands, never its bytes.

    Every call first reads what other processes wrote. A letter that two of them bury at the same moment is one
    letter; compaction then keeps the later reason.
    """

    capabilities = Capabilities(durable=True, shared=True)

    def __init__(self, address: Address, topics: Topics, topic: str) -> None:
        """Use the topic that `open_dead_letters` found or made."""
        self._address, self._topics, self._topic = address, topics, topic
        self._sender = Sender(address, _LETTER_BYTES)
        self._readers = Readers(address, topics)
        self._places: dict[Position, int] = {}
        self._next = 0
        self._reading = threading.Lock()
        self._writing = asyncio.Lock()
        self._closed = False

    async def bury(self, letters: Sequence[DeadLetter]) -> None:
        """Keep records durably; the first burial of a position counts. A reason is cut to 2,000 characters."""
        if not letters:
            return
        async with self._writing:
            wanted: dict[Position, DeadLetter] = {}
            for letter in letters:
                wanted.setdefault(letter.position, letter)
            known = await self._blocking(lambda: self._standing(list(wanted)))
            await self._send([
                Outgoing(self._topic, 0, str(each.position).encode(), _encoded(each))
                for each in wanted.values()
                if each.position not in known
            ])  # fmt: skip

    async def letters(self, after: Position | None, limit: int) -> list[DeadLetter]:
        """Return up to `limit` letters behind `after`, in order of position."""
        return await self._blocking(lambda: self._page(after, limit)) if limit > 0 else []

    async def discard(self, positions: Sequence[Position]) -> int:
        """Delete letters; return how many there were."""
        if not positions:
            return 0
        async with self._writing:
            known = await self._blocking(lambda: self._standing(list(dict.fromkeys(positions))))
            await self._send([Outgoing(self._topic, 0, str(each).encode(), None) for each in known])
            return len(known)

    async def check(self) -> None:
        """Ask the cluster for its brokers; raise StoreUnavailable when nobody answers."""
        await self._blocking(self._topics.check)

    async def close(self) -> None:
        """Close all connections; a second call does nothing."""
        if not self._closed:
            self._closed = True
            await asyncio.to_thread(self._end)

    async def _send(self, records: Sequence[Outgoing]) -> None:
        for sent in await self._sender.send(records):
            if sent.error is not None:
                raise translated(self._address, sent.error)

    async def _blocking(self, call: Callable[[], T]) -> T:
        if self._closed:
            raise StoreUnavailable("the store of dead letters is closed")
        return await asyncio.to_thread(call)

    def _page(self, after: Position | None, limit: int) -> list[DeadLetter]:
        with self._reading:
            self._catch_up()
            found: list[DeadLetter] = []
            for position in sorted(each for each in self._places if after is None or each > after):
                letter = self._letter(position)
                if letter is not None:
                    found.append(letter)
                if len(found) == limit:
                    break
            return found

    def _standing(self, positions: Sequence[Position]) -> list[Position]:
        """Return those of the positions where a letter stands."""
        with self._reading:
            self._catch_up()
            return [each for each in positions if self._letter(each) is not None]

    def _catch_up(self) -> None:
        """Note where letters stand that came since, and forget those that went."""
        while rows := self._readers.read(self._topic, 0, self._next, _BATCH):
            for row in rows:
                position = _position(row)
                if position is None:
                    continue
                if row.value is None:
                    self._places.pop(position, None)
                else:
                    self._places.setdefault(position, row.offset)
            self._next = rows[-1].offset + 1

    def _letter(self, position: Position) -> DeadLetter | None:
        """Return a letter that memory knows of, None where compaction has taken it away meanwhile."""
        offset = self._places.get(position)
        if offset is None:
            return None
        rows = self._readers.read(self._topic, 0, offset, 1)
        if not rows or rows[0].offset != offset or rows[0].value is None:
            del self._places[position]
            return None
        return _decoded(position, rows[0].value)

    def _end(self) -> None:
        self._sender.close()
        self._readers.close()


def _encoded(letter: DeadLetter) -> bytes:
    """Return a letter as a msgpack pair of its reason and its bytes."""
    return msgspec.msgpack.encode((letter.reason[:_REASON_CHARACTERS], bytes(letter.data)))


def _decoded(position: Position, value: bytes) -> DeadLetter:
    try:
        reason, data = msgspec.msgpack.decode(value, type=tuple[str, bytes])
    except msgspec.MsgspecError:
        return DeadLetter(position, "unreadable letter", value)
    return DeadLetter(position, reason, data)


def _position(row: Row) -> Position | None:
    try:
        return Position.parse(row.key.decode())
    except (InvalidInput, UnicodeDecodeError):
        return None


async def open_dead_letters(location: str, home: Path) -> KafkaDeadLetters:
    """Open the letters that `//host:port/name` names, making their topic where there is none.

    Raises ConfigError for another form, StoreUnavailable where no broker answers.
    """
    address = parse_address(location)
    topics = Topics(address)
    topic = f"{address.name}.letters"
    settings = topics.replicated() | {
        "cleanup.policy": "compact",
        "max.message.bytes": str(_LETTER_BYTES + BATCH_OVERHEAD),
        # A process that has not looked for longer may still list what is gone; it finds out when it reads it.
        "delete.retention.ms": str(_TOMBSTONE_MS),
    }
    await asyncio.to_thread(lambda: topics.make(topic, 1, settings))
    return KafkaDeadLetters(address, topics, topic)
