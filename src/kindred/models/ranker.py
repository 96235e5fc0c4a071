"""The learned ranker: gradient-boosted trees over columns of candidates, with calibrated chances per event type."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Literal, Protocol, Self

import msgspec
import numpy as np
from msgspec import Meta

from kindred.core.candidates import Floats
from kindred.core.config import Amount, Config, Count, MoreThanZero
from kindred.core.errors import BundleCorrupt
from kindred.models.arrays import load_array, load_json, save_array, save_json
from kindred.models.layers import Folder, layered
from kindred.models.neural_ranker import NetworkHeads, NeuralRankerConfig
from kindred.models.trees import TreeHeads, Trees

ORDER = "order"


class RankerConfig(Config, frozen=True, kw_only=True):
    """How the candidates of a request are ordered at last, and how that is learned.

    `kind`: boosted `trees`, or one `neural` network, which needs the extra of that name; `network`: its settings.
    `learn`: whether training makes a ranker at all; it is kept only where it beats the blend. `value`: what an event of
    each type is worth; others count nothing. `users`: most users whose past requests are made again to learn from.
    `moments`: most requests of each. `min_users`: with fewer users no ranker is learned. `horizon`: seconds after a
    request in which what the user does counts. `negatives`: candidates of a request that led to nothing and are
    learned from. `folds`: parts of the users, each of which judges trees that were grown on the others. `trees`: how
    many order, and how many tell chances, which the event types share. `depth`: of a tree. `learning_rate`: part of its
    step that a tree takes. `min_weight`: least evidence on each side of a branch of the trees of chances. `penalty`: L2
    on what leaves say. `rows`: share of the examples that a tree sees. `columns`: share of the columns that a branch
    chooses from. `slots`: whether what was found in a slot that is seldom looked at counts more; how often each is
    looked at is learnt from exploration.
    """

    kind: Literal["trees", "neural"] = "trees"
    network: NeuralRankerConfig = NeuralRankerConfig()
    learn: bool = True
    value: dict[str, Amount] = msgspec.field(
        default_factory=lambda: {
            "purchase": 5.0,
            "rating": 4.0,
            "like": 4.0,
            "add_to_cart": 3.0,
            "click": 2.0,
            "view": 1.0,
        }
    )
    users: Count = 1_000
    moments: Count = 1
    min_users: Count = 200
    horizon: MoreThanZero = 2_678_400.0
    negatives: Count = 100
    folds: Annotated[int, Meta(ge=2, le=20)] = 3
    trees: Annotated[int, Meta(ge=1, le=1_000)] = 50
    depth: Annotated[int, Meta(ge=1, le=12)] = 4
    learning_rate: Annotated[float, Meta(gt=0, le=1)] = 0.1
    min_weight: Amount = 20.0
    penalty: Amount = 10.0
    rows: Annotated[float, Meta(gt=0, le=1)] = 0.8
    columns: Annotated[float, Meta(gt=0, le=1)] = 0.5
    slots: bool = False


class RankerSchema(msgspec.Struct, frozen=True):
    """The columns that a ranker reads, in order, and the names that categorical ones number."""

    columns: tuple[str, ...]
    categories: dict[str, tuple[str, ...]] = {}

    @property
    def digest(self) -> str:
        """Return a hash of both."""
        return blake2b(msgspec.json.encode(self, order="sorted"), digest_size=8).hexdigest()


class Reliability(msgspec.Struct, frozen=True):
    """How far chances are from what happened: bins of equally many examples, means of both, and the expected gap.

    `error`: expected calibration error (Naeini et al. 2015), on users that the trees and the curve never saw.
    """

    predicted: tuple[float, ...]
    happened: tuple[float, ...]
    examples: int
    error: float


class RankerReport(msgspec.Struct, frozen=True):
    """What learning found: NDCG@10 of ranker and blend on users that did not teach, and their difference's interval."""

    users: int = 0
    ndcg: float = 0.0
    blend_ndcg: float = 0.0
    difference: tuple[float, float, float] = (0.0, 0.0, 0.0)
    candidates: dict[str, float] = {}
    reliability: dict[str, Reliability] = {}
    importance: dict[str, float] = {}


class _Stored(msgspec.Struct):
    """What stands in the file."""

    schema: RankerSchema
    digest: str
    events: tuple[str, ...]
    mix: dict[str, float]
    config: RankerConfig
    report: RankerReport


@dataclass(frozen=True, slots=True)
class RankerScores:
    """Of n candidates: what orders them (n,) in (0, 1), and the chance of each event type that was asked for (n,)."""

    value: Floats
    chances: dict[str, Floats]


@dataclass(frozen=True, slots=True)
class Curve:
    """A rising curve from margins `at (k,)` to chances `chance (k,)`, straight between its points."""

    at: Floats
    chance: Floats

    def __call__(self, margins: Floats) -> Floats:
        """Return the chance of each margin (n,) float32."""
        return np.interp(margins, self.at, self.chance).astype(np.float32)


class Head(Protocol):
    """What gives candidates one margin each."""

    def margins(self, columns: Floats) -> Floats:
        """Return the margin (n,) float32 of `columns (n, f)`."""
        ...

    def gains(self, columns: Floats) -> Floats:
        """Return how much the head makes of each column (f,) float32, of which `columns (n, f)` are examples."""
        ...

    def shares(self, columns: Floats) -> Floats:
        """Return what each column adds to each margin (n, f + 1), the last being the same for all."""
        ...


class Heads(Protocol):
    """Heads by name."""

    def __getitem__(self, name: str) -> Head:
        """Return a head."""
        ...

    def values(self) -> Iterable[Head]:
        """Return all heads."""
        ...

    def items(self) -> Iterable[tuple[str, Head]]:
        """Return all heads with their names."""
        ...

    def together(self, names: Sequence[str], columns: Floats) -> Floats:
        """Return the margins (n, h) float32 of h heads for `columns (n, f)`; cheaper than asking one after another."""
        ...


@dataclass(frozen=True, slots=True)
class RankerModel:
    """What orders candidates, what with a curve tells the chance of each event type, and how they are mixed.

    `heads`: by `ORDER` and event type. `mix`: how much of what orders are the head of the `order`, the `value`
    function (the sum over event types of chance times worth) and the `blend`.
    """

    schema: RankerSchema
    events: tuple[str, ...]
    heads: Heads
    curves: Mapping[str, Curve]
    mix: dict[str, float]
    config: RankerConfig
    report: RankerReport

    def score(self, columns: Floats, every: bool = False) -> RankerScores:
        """Score candidates by `columns (n, f) float32` in the schema's order; `every`: chances also where not mixed."""
        told = self.events if "value" in self.mix or every else ()
        asked = (*told, ORDER) if ORDER in self.mix else told
        margins = dict(zip(asked, self.heads.together(asked, columns).T, strict=True)) if asked else {}
        chances = {name: self.curves[name](margins[name]) for name in told}
        total = np.zeros(len(columns), np.float32)
        for name, part in self.mix.items():
            if name == "value":
                values = worth(chances, self.config.value)
            else:
                values = columns[:, self.schema.columns.index("blend")] if name == "blend" else margins[ORDER]
            total += np.float32(part) * centred(values)
        return RankerScores((1 / (1 + np.exp(-total))).astype(np.float32), chances)

    def shares(self, columns: Floats) -> dict[str, Floats]:
        """Return what each column adds to the margin of each head (n, f + 1), by `ORDER` and event type."""
        return {name: head.shares(columns) for name, head in self.heads.items()}

    def save(self, folder: Path) -> None:
        """Write the trees as UBJSON or the network as ONNX, the curves as arrays, the schema with its hash as JSON."""
        schema = self.schema
        save_json(
            folder,
            "ranker",
            _Stored(schema, schema.digest, self.events, self.mix, self.config, self.report),
        )
        if isinstance(self.heads, NetworkHeads):
            self.heads.save(folder)
        for number, head in enumerate(self.heads.values()):
            if isinstance(head, Trees):
                (folder / f"trees.{number}.ubj").write_bytes(head.data)
        for number, name in enumerate(self.events):
            save_array(folder, f"curve.{number}", np.stack([self.curves[name].at, self.curves[name].chance]))

    @classmethod
    def load(cls, folder: Folder) -> Self:
        """Read a ranker; raise BundleCorrupt where a file is missing, or was written for other columns."""
        stored = load_json(folder, "ranker", _Stored)
        if stored.schema.digest != stored.digest:
            raise BundleCorrupt(f"ranker.json in {layered(folder).name} has other columns than were learned from")
        curves = {}
        for number, name in enumerate(stored.events):
            at, chance = load_array(folder, f"curve.{number}", np.float32, (2, None))
            curves[name] = Curve(at, chance)
        names = (ORDER, *stored.events)
        heads: Heads
        if stored.config.kind == "neural":
            heads = NetworkHeads.load(folder, names)
        else:
            heads = TreeHeads({name: Trees(_read(folder, number)) for number, name in enumerate(names)})
        return cls(stored.schema, stored.events, heads, curves, stored.mix, stored.config, stored.report)


def worth(chances: Mapping[str, Floats], value: Mapping[str, float]) -> Floats:
    """Return the sum of chance times worth by event type, over the sum of what all are worth, as log-odds (n,)."""
    total = sum(value[name] for name in chances)
    share = np.sum([value[name] * chance for name, chance in chances.items()], axis=0) / total
    share = np.clip(share, 1e-6, 1 - 1e-6)
    odds: Floats = np.log(share / (1 - share)).astype(np.float32)
    return odds


def centred(values: Floats) -> Floats:
    """Return values (n,) less their mean, over their standard deviation: heads differ in scale."""
    spread = float(values.std())
    found: Floats = (values - values.mean()) / np.float32(spread if spread > 0 else 1)
    return found


def _read(folder: Folder, number: int) -> bytes:
    path = layered(folder).newest(f"trees.{number}.ubj")
    try:
        return path.read_bytes()
    except OSError as error:
        raise BundleCorrupt(f"{path.name} in {path.parent} cannot be read: {error}") from error
