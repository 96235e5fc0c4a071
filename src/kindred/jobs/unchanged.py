"""Stores that a second fold may write to without any effect: what it would write stands there already."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

T = TypeVar("T")


class _Unchanged:
    """A store of which some methods only answer."""

    def __init__(self, store: object, answers: dict[str, Any]) -> None:
        self._store, self._answers = store, answers

    def __getattr__(self, name: str) -> Any:
        return _answering(self._answers[name]) if name in self._answers else getattr(self._store, name)


def unchanged(store: T, **answers: Any) -> T:
    """Return `store` with methods of these names (asynchronous ones) doing nothing but returning their answer."""
    return cast(T, _Unchanged(store, answers))


def _answering(answer: Any) -> Callable[..., Awaitable[Any]]:
    async def method(*arguments: object, **named: object) -> Any:
        return answer

    return method
