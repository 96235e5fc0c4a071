"""Small stores that running the platform needs: cache, traces, tokens, leases, notices."""

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

import msgspec

from kindred.core.errors import LeaseHeld
from kindred.core.ids import new_id
from kindred.ports.resource import Resource


class Cache(Resource, Protocol):
    """Bytes that may vanish at any time."""

    async def get(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return what is kept and not expired under each key, in order."""
        ...

    async def put(self, key: str, value: bytes, ttl: float) -> None:
        """Keep a value for `ttl` seconds."""
        ...

    async def delete(self, keys: Sequence[str]) -> None:
        """Drop keys."""
        ...


def reserves_key(user_id: str) -> str:
    """Return under which key a cache holds what was ranked for a user: who forgets the user deletes it."""
    return f"reserves:{user_id}"


class TraceStore(Resource, Protocol):
    """Replay records and traces by request id, kept for a day."""

    async def put(self, records: Sequence[tuple[str, int, bytes]]) -> None:
        """Keep (request id, time in ms, bytes) records."""
        ...

    async def get(self, request_id: str) -> bytes | None:
        """Return what is kept of a request, or None."""
        ...

    async def sweep(self, before: int) -> int:
        """Delete records older than `before` (ms); return how many."""
        ...


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """A bearer token as it is stored: never the secret, only its SHA-256."""

    token_id: str
    digest: bytes
    scopes: tuple[str, ...]
    created: int
    name: str = ""
    revoked: int | None = None


class TokenStore(Resource, Protocol):
    """Bearer tokens."""

    async def add(self, token: Token) -> None:
        """Keep a new token."""
        ...

    async def find(self, token_id: str) -> Token | None:
        """Return a token that is not revoked, or None."""
        ...

    async def tokens(self) -> list[Token]:
        """Return all tokens, newest first, revoked ones too."""
        ...

    async def revoke(self, token_id: str, now: int) -> bool:
        """Revoke a token; return whether there was one to revoke."""
        ...


class Leases(Resource, Protocol):
    """One owner per name at a time, with a fencing number that grows with every change of owner."""

    async def acquire(self, name: str, owner: str) -> int | None:
        """Take the lease and return its fencing number, or None while another holds it."""
        ...

    async def holds(self, name: str, fence: int) -> bool:
        """Say whether the lease is still held under `fence`, renewing it where it would expire."""
        ...

    async def holder(self, name: str) -> str | None:
        """Return who holds the lease, or None."""
        ...

    async def release(self, name: str, fence: int) -> None:
        """Give the lease back."""
        ...


class Notifier(Resource, Protocol):
    """Tells other processes that something has changed; a message may be lost, so everyone still polls, more slowly."""

    async def publish(self, topic: str) -> None:
        """Tell everyone who waits for `topic`; one that cannot be reached loses the message and raises nothing."""
        ...

    async def wait(self, topics: Sequence[str], timeout: float) -> str | None:
        """Return the first of `topics` that is published, or None after `timeout` seconds."""
        ...


@asynccontextmanager
async def alone(leases: Leases, name: str, doing: str) -> AsyncIterator[int]:
    """Hold a lease for a block, which is given its fencing number.

    Raises LeaseHeld where another process has it, in the words `another process {doing}` and who that is.
    """
    fence = await leases.acquire(name, f"{new_id(name)} (process {os.getpid()})")
    if fence is None:
        holder = await leases.holder(name)
        raise LeaseHeld(f"another process {doing} ({holder or 'unknown'}): wait until it is done")
    try:
        yield fence
    finally:
        await leases.release(name, fence)
