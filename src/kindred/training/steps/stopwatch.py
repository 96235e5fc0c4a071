"""How long each step of a run took."""

from collections.abc import Callable
from time import perf_counter


class Stopwatch:
    """Hears the name of each step as it begins, passes it on, and counts its seconds until the next."""

    def __init__(self, progress: Callable[[str], None]) -> None:
        """Tell `progress` too."""
        self._progress = progress
        self._step: str | None = None
        self._since = 0.0
        self._seconds: dict[str, float] = {}

    def __call__(self, step: str) -> None:
        """Begin a step."""
        self._stop()
        self._step, self._since = step, perf_counter()
        self._progress(step)

    @property
    def seconds(self) -> dict[str, float]:
        """Return the seconds of each step, the present one up to now."""
        self._stop()
        return {step: round(seconds, 3) for step, seconds in self._seconds.items()}

    def _stop(self) -> None:
        now = perf_counter()
        if self._step is not None:
            self._seconds[self._step] = self._seconds.get(self._step, 0.0) + now - self._since
        self._since = now
