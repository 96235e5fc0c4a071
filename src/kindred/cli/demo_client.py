"""What the demo does over HTTP, as any client would."""

import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx

from kindred.core.errors import KindredError, StoreUnavailable
from kindred.core.position import Position

_TIMEOUT = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """A slate as it came: rows as in the HTTP interface, the strategy, and the state it was made from."""

    rows: list[dict[str, Any]]
    strategy: str
    state: Position

    @property
    def ids(self) -> list[str]:
        """Return the items' ids in order."""
        return [row["item_id"] for row in self.rows]


class DemoClient:
    """Calls one server with one token."""

    def __init__(self, url: str, token: str) -> None:
        """Call `url` with `token`."""
        self._http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=_TIMEOUT)

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self._http.close()

    def ready(self) -> bool:
        """Say whether the server answers and has a bundle."""
        try:
            return self._http.get("/health/ready").status_code == 200
        except httpx.TransportError:
            return False

    def title(self, item_id: str) -> str:
        """Return an item's title."""
        return str(self._call("GET", f"/api/v1/items/{item_id}")["title"])

    def slate(self, user_id: str, count: int) -> Answer:
        """Ask what a user should see, without exploration and without counting as an exposure."""
        body = {"user_id": user_id, "count": count, "exploration": 0, "prefetch": True}
        said = self._call("POST", "/api/v1/recommendations", body)
        return Answer(said["recommendations"], said["strategy"], Position.parse(said["state_version"]))

    def track(self, event: dict[str, Any]) -> Position:
        """Send an event; return its position once it is durable."""
        return Position.parse(self._call("POST", "/api/v1/track", event)["position"])

    def slate_after(self, user_id: str, count: int, position: Position, patience: float = 10.0) -> tuple[Answer, float]:
        """Ask until the answer knows the event at `position`; return it and the milliseconds since now.

        Raises StoreUnavailable after `patience` seconds.
        """
        started = time.perf_counter()
        while time.perf_counter() - started < patience:
            answer = self.slate(user_id, count)
            if answer.state >= position:
                return answer, (time.perf_counter() - started) * 1000
            time.sleep(0.002)
        raise StoreUnavailable(f"no answer has learned from the event within {patience:g} s")

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        try:
            response = self._http.request(method, path, json=body)
        except httpx.TransportError as error:
            raise StoreUnavailable(f"the demo's server does not answer: {error}") from error
        if response.is_error:
            raise KindredError(f"{method} {path} answered {response.status_code}: {response.text[:300]}")
        return response.json()
