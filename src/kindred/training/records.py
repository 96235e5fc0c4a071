"""Records of training runs: what each was given, what it measured, and how it ended."""

import logging
import math
import resource
from pathlib import Path
from typing import Any, Literal

import msgspec

from kindred.core.bundle import DataWindow, Manifest
from kindred.core.errors import KindredError, NotFound
from kindred.core.files import make_folder, replace_file, translating
from kindred.core.ids import id_fault
from kindred.evaluation.intervals import Interval

FOLDER = "runs"
KEPT = 200

_logger = logging.getLogger(__name__)


class Figure(msgspec.Struct, frozen=True):
    """A metric's value, with its interval and its number of users where it has them; None where it is undefined."""

    value: float | None
    low: float | None = None
    high: float | None = None
    users: int | None = None

    @classmethod
    def of(cls, found: float | Interval) -> "Figure":
        """Take over a number or an interval; what is not finite becomes None."""
        if isinstance(found, Interval):
            return cls(_finite(found.mean), _finite(found.low), _finite(found.high), found.users)
        return cls(_finite(found))


class CheckRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that the gate looked at: whether `value` kept to `limit`, and the sentence that says so."""

    name: str
    passed: bool
    value: float | None
    limit: float | None
    said: str = ""


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One training run.

    `version`: of the bundle that it made, or would have made. `started`, `finished`: ms since 1970 UTC. `outcome`:
    `refused` by the gate, or `failed` with `error` before it. `parameters`: every setting by section. `metrics`: by
    name. `segments`: title → segment → figure. `importances`: feature → its share of what the ranker gains. `facts`:
    shares that limit what can be learned, see `training/facts.py`. `seconds`: by step. `gate`: what was checked, empty
    where no gate ran. `peak_mib`: most memory that the process held.
    """

    version: str
    kind: Literal["training", "increment"] = "training"
    started: int
    finished: int
    outcome: Literal["published", "refused", "failed"]
    error: str = ""
    parameters: dict[str, Any] = {}
    window: DataWindow | None = None
    metrics: dict[str, Figure] = {}
    segments: dict[str, dict[str, Figure]] = {}
    importances: dict[str, float] = {}
    facts: dict[str, float] = {}
    seconds: dict[str, float] = {}
    gate: list[CheckRecord] = []
    seed: int | None = None
    code_version: str = ""
    peak_mib: float | None = None


def peak_mib() -> float:
    """Return the most memory that this process has held, MiB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def from_manifest(manifest: Manifest) -> RunRecord:
    """Return what a published bundle tells of the run that made it, where no record of it is kept."""
    training = manifest.parameters.get("training", {})
    return RunRecord(
        version=manifest.version,
        kind="training" if manifest.base is None else "increment",
        started=manifest.created,
        finished=manifest.created,
        outcome="published",
        parameters=manifest.parameters,
        window=manifest.window,
        metrics={name: Figure.of(value) for name, value in manifest.metrics.items()},
        seconds=manifest.seconds,
        seed=training.get("seed"),
        code_version=manifest.code_version,
    )


class RunRecords:
    """The newest records of training runs, one JSON file each in the data folder."""

    def __init__(self, home: Path, keep: int = KEPT) -> None:
        """Keep at most `keep` records below `home`; the folder is made when the first is written."""
        self._folder, self._keep = home / FOLDER, keep

    def write(self, record: RunRecord) -> None:
        """Keep a record in place of an earlier one of the same version, and drop the oldest that are too many.

        A training must not fail for its record: what the file system refuses is logged.
        """
        try:
            with translating(self._folder):
                make_folder(self._folder)
                replace_file(self._place(record.version), msgspec.json.format(msgspec.json.encode(record), indent=1))
                for path in self._paths()[self._keep :]:
                    path.unlink(missing_ok=True)
        except KindredError as error:
            _logger.warning("the record of run %s is not kept: %s", record.version, error)

    def read(self, version: str) -> RunRecord:
        """Return one record; raise NotFound."""
        try:
            return msgspec.json.decode(self._place(version).read_bytes(), type=RunRecord)
        except (OSError, msgspec.MsgspecError) as error:
            raise NotFound(f"no record of run {version} is kept: `kindred models list` names the bundles") from error

    def records(self) -> list[RunRecord]:
        """Return all that can be read, newest first."""
        found = []
        for path in self._paths():
            try:
                found.append(msgspec.json.decode(path.read_bytes(), type=RunRecord))
            except (OSError, msgspec.MsgspecError) as error:
                _logger.warning("%s cannot be read: %s", path, error)
        return found

    def _paths(self) -> list[Path]:
        """Return the files, newest first: a version begins with its time."""
        return sorted(self._folder.glob("*.json"), key=lambda path: path.name, reverse=True)

    def _place(self, version: str) -> Path:
        if id_fault(version) or Path(version).name != version or version.startswith("."):
            raise NotFound(f"{version!r} is no version of a bundle")
        return self._folder / f"{version}.json"


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
