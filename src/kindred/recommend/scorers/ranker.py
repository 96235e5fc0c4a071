"""The learned ranker: orders what the blend scored by all that is known at the moment of the request."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kindred.core.candidates import Candidates, Floats
from kindred.core.query import Query
from kindred.pipeline.checks import StageFault
from kindred.pipeline.stages import FailPolicy
from kindred.recommend.model_set import RANKER
from kindred.recommend.ranking import FEATURES, funnel_columns, matrix, wants_ranker
from kindred.recommend.session import fatigue
from kindred.recommend.world import World


@dataclass(frozen=True, slots=True)
class Ranker:
    """Gives the best candidate by the bundle's ranker the blend's highest score, the next the next, and so on.

    So scores keep the scale on which diversity weighs them, and the blend's order stands where the ranker fails.
    """

    world: World
    name: str = RANKER
    policy: FailPolicy = FailPolicy.OPEN

    def enabled(self, query: Query) -> bool:
        """Say whether the bundle holds a ranker and this request is one that it knows."""
        return wants_ranker(self.world, query)

    def score(self, query: Query, candidates: Candidates) -> Mapping[str, Floats]:
        """Return `score`, `ranker` (the model's own), and `chance.<event type>`; raise StageFault without features."""
        model = self.world.models.ranker
        request = query.scratch.get("request")
        items, features = query.scratch.get(FEATURES, (None, {}))
        if model is None or request is None or items is not candidates.items:
            raise StageFault("the candidates' features were not read")
        if not len(candidates):
            return {}
        columns = matrix(model.schema, candidates, {**features, **funnel_columns(candidates)}, request)
        found = model.score(columns, every=query.want_trace)
        lessened = fatigue(self.world, query, candidates.items)
        value = found.value if lessened is None else found.value * lessened
        said = {f"chance.{name}": chance for name, chance in found.chances.items()}
        if query.want_trace:
            said |= {f"ranker.{name}": column for name, column in zip(model.schema.columns, columns.T, strict=True)}
        return {"score": reordered(candidates.column("score", 0.0), value), "ranker": value, **said}


def reordered(scores: Floats, by: Floats) -> Floats:
    """Return the same scores (n,), the highest where `by (n,)` is highest, and so on; ties by place."""
    found = np.empty_like(scores)
    found[np.argsort(-by, kind="stable")] = -np.sort(-scores)
    return found
