"""Notices over Redis's publish and subscribe; a message may be lost, so everyone still polls."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from redis.exceptions import ConnectionError, RedisError

from kindred.adapters.redis.address import Address, parse
from kindred.adapters.redis.server import Server, translated
from kindred.core.errors import StoreUnavailable
from kindred.ports.resource import Capabilities

PING_EVERY = 5.0
RETRY_FIRST = 0.1
RETRY_MOST = 5.0
# Combinations of topics that are listened to between two waits; the least recently waited for go first.
MAX_INBOXES = 1_000

_logger = logging.getLogger(__name__)


class _Inbox:
    """What was published on some topics since they were last waited for."""

    def __init__(self) -> None:
        self.heard = asyncio.Event()
        self.topic = ""
        self.waiting = 0


class RedisNotifier:
    """Topics as channels `<prefix>:n:<topic>`, over one connection that is made again whenever it breaks.

    Once a combination of topics was waited for, it is listened to between waits too: what is published while nobody
    waits ends the next wait at once. What is published while the connection is down is lost. After 5 s of silence the
    server is asked whether it is there, and after 5 more the connection is made anew.
    """

    def __init__(self, address: Address, ping_every: float = PING_EVERY) -> None:
        """Remember where the server is; nothing is opened yet."""
        self._server = Server(address)
        self._address = address
        self._ping_every = ping_every
        self._inboxes: OrderedDict[tuple[str, ...], _Inbox] = OrderedDict()
        self._subscriber: Any = None
        self._listener: asyncio.Task[None] | None = None

    @property
    def capabilities(self) -> Capabilities:
        """Return shared: all processes of a fleet hear one another."""
        return Capabilities(shared=True)

    async def publish(self, topic: str) -> None:
        """Tell everyone who listens to `topic`; where the server is away nobody hears, and nothing is raised."""
        try:
            await self._server.call("PUBLISH", self._channel(topic), b"")
        except StoreUnavailable as error:
            _logger.debug("a notice of %s was lost: %s", topic, error)

    async def wait(self, topics: Sequence[str], timeout: float) -> str | None:
        """Return the first of `topics` that is published, or None after `timeout` seconds."""
        inbox = await self._inbox(tuple(topics))
        inbox.waiting += 1
        try:
            async with asyncio.timeout(timeout):
                await inbox.heard.wait()
        except TimeoutError:
            return None
        finally:
            inbox.waiting -= 1
        inbox.heard.clear()
        return inbox.topic

    async def check(self) -> None:
        """Return when the server answers; raise StoreUnavailable."""
        await self._server.call("PING")

    async def close(self) -> None:
        """Stop listening and close the connections."""
        if self._listener is not None:
            self._listener.cancel()
            with suppress(asyncio.CancelledError):
                await self._listener
            self._listener = None
        await self._server.close()

    def _channel(self, topic: str) -> bytes:
        return self._address.name("n", topic)

    def _topics(self) -> set[str]:
        return {topic for topics in self._inboxes for topic in topics}

    async def _inbox(self, topics: tuple[str, ...]) -> _Inbox:
        """Return the inbox of a combination of topics, listening to them from now on."""
        inbox = self._inboxes.get(topics)
        if inbox is None:
            before = self._topics()
            inbox = self._inboxes[topics] = _Inbox()
            dropped = self._drop_oldest(keep=topics)
            await self._tell("subscribe", set(topics) - before)
            await self._tell("unsubscribe", set(dropped) - self._topics())
        self._inboxes.move_to_end(topics)
        if self._listener is None:
            self._listener = asyncio.create_task(self._listen(), name="kindred-notifier")
        return inbox

    def _drop_oldest(self, keep: tuple[str, ...]) -> tuple[str, ...]:
        if len(self._inboxes) > MAX_INBOXES:
            for topics, inbox in self._inboxes.items():
                if not inbox.waiting and topics != keep:
                    del self._inboxes[topics]
                    return topics
        return ()

    async def _tell(self, what: str, topics: set[str]) -> None:
        """Change what is subscribed to; where that fails, the listener makes its connection anew with all of it."""
        if self._subscriber is not None and topics:
            with suppress(RedisError, OSError, TimeoutError):
                async with asyncio.timeout(self._address.timeout):
                    await getattr(self._subscriber, what)(*map(self._channel, topics))

    async def _listen(self) -> None:
        """Hear messages for ever, over one connection after another."""
        delay = RETRY_FIRST
        while True:
            try:
                async with self._server.client.pubsub() as subscriber:
                    async with asyncio.timeout(self._address.timeout):
                        await subscriber.subscribe(*map(self._channel, self._topics()))
                    self._subscriber = subscriber
                    delay = RETRY_FIRST
                    await self._hear(subscriber)
            except (RedisError, OSError) as error:
                _logger.info("notices are not heard for now: %s", translated(error, self._address))
            finally:
                self._subscriber = None
            await asyncio.sleep(delay)
            delay = min(2 * delay, RETRY_MOST)

    async def _hear(self, subscriber: Any) -> None:
        """Pass messages on until the connection breaks; raise RedisError or OSError then."""
        silent = False
        while True:
            message = await subscriber.get_message(timeout=self._ping_every)
            if message is None:
                if silent:
                    raise ConnectionError("the server is silent")
                silent = True
                async with asyncio.timeout(self._address.timeout):
                    await subscriber.ping()
                continue
            silent = False
            if message["type"] == "message":
                self._deliver(message["channel"].decode().removeprefix(self._channel("").decode()))

    def _deliver(self, topic: str) -> None:
        for topics, inbox in self._inboxes.items():
            if topic in topics and not inbox.heard.is_set():
                inbox.topic = topic
                inbox.heard.set()


async def open_notifier(location: str, home: Path) -> RedisNotifier:
    """Open `redis://[user:password@]host[:port][/db][?prefix=kindred&timeout=2&tls=no]`; raise ConfigError."""
    return RedisNotifier(parse(location))
