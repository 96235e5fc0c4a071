"""Why a user gets what they get."""

from collections import Counter
from typing import TYPE_CHECKING

from kindred.cli.findings import Finding, advice, ok, trouble

if TYPE_CHECKING:
    from kindred.app.app import App
    from kindred.core.bundle import Manifest
    from kindred.core.query import UserFacts
    from kindred.recommend.ask import Served

_COUNT = 20
_NARROW = 0.3


async def look_at_user(app: "App", user_id: str) -> list[Finding]:
    """Say in plain words why a user gets personal or only popular items."""
    facts = await _facts(app, user_id)
    version = await app.stores.models.active()
    if version is None:
        return [trouble("user", "nobody gets personal items before something was trained", "run `kindred train`")]
    manifest, _ = await app.stores.models.open(version)
    found = [*await _history(app, user_id, facts), *_known_items(facts, manifest)]
    from kindred.recommend.ask import Ask

    served = await app.serving.recommend(Ask(user_id=user_id, count=_COUNT, exploration=0.0, prefetch=True, trace=True))
    return [*found, *_exposures(served), *_strategy(app, facts, served), *_stages(served), _verdict(user_id, served)]


def _exposures(served: "Served") -> list[Finding]:
    """Say how evenly what the user was shown in the last day is spread over categories."""
    stages = served.trace.stages if served.trace else ()
    spread = next((stage.detail["spread"] for stage in stages if "spread" in stage.detail), None)
    if spread is None:
        return []
    said = f"what was shown in the last day is spread over the categories to {spread:.2f} (0: one of them, 1: evenly)"
    if spread < _NARROW:
        return [advice("exposures", said, "raise recommend.min_entropy, or diversity, if that is too narrow")]
    return [ok("exposures", said)]


async def _facts(app: "App", user_id: str) -> "UserFacts":
    from kindred.app.sections import preference_config
    from kindred.core.query import UserFacts
    from kindred.recommend.hydrators.user import user_facts
    from kindred.recommend.known_user import known_user

    known = await known_user(app.stores.state, user_id, app.stores.log.partition_of)
    if known.record is None or known.version is None:
        return UserFacts()
    config = preference_config(app.settings)
    return user_facts(known.record, known.version, app.clock.now(), config, known.watermark)


async def _history(app: "App", user_id: str, facts: "UserFacts") -> list[Finding]:
    if facts.interactions:
        disliked = int((~facts.positive).sum())
        said = f"{facts.interactions:,} interactions are folded, on {len(facts.history):,} items that count"
        if len(facts.history) and disliked == len(facts.history):
            return [advice("history", f"{said}, all of them dislikes: they say what not to show, not what to show")]
        return [ok("history", said + (f", {disliked:,} of them disliked" if disliked else ""))]
    rows = await app.stores.interactions.by_user(user_id, 1)
    if rows:
        said = f"the history knows {user_id}, the live state does not: their events are not folded yet"
        return [trouble("history", said, "start `kindred serve`, which folds them")]
    fix = "see that events carry exactly this user_id (capitals and spaces count)"
    return [advice("history", f"no event of {user_id!r} has ever arrived", fix)]


def _known_items(facts: "UserFacts", manifest: "Manifest") -> list[Finding]:
    """Say when what the user did is newer than the bundle."""
    unknown = int((facts.history >= manifest.n_items).sum())
    if not unknown:
        return []
    said = f"{unknown:,} of the user's items came after the bundle was trained: only their content is known"
    return [advice("bundle", said, "run `kindred train`")]


def _strategy(app: "App", facts: "UserFacts", served: "Served") -> list[Finding]:
    from kindred.recommend.config import RecommendConfig

    least = app.settings.section(RecommendConfig).cold_user
    if served.strategy == "cold_start_user":
        said = (
            f"with {facts.interactions} interactions (fewer than {least}, recommend.cold_user) the user counts as new: "
            "popular items weigh most"
        )
        return [advice("strategy", said, f"{max(least - facts.interactions, 1)} more events and it changes by itself")]
    return [ok("strategy", f"{served.strategy}: the user has done enough for personal items to weigh most")]


def _stages(served: "Served") -> list[Finding]:
    found = []
    for stage in served.trace.stages if served.trace else ():
        if stage.error:
            said = f"the {stage.kind} {stage.stage} failed: {stage.error}"
            found.append(trouble("pipeline", said, "see `kindred doctor`, and `deadlines` if it was late"))
        elif stage.kind == "source" and stage.stage in _personal() and not stage.left:
            found.append(advice("pipeline", f"the source {stage.stage} had nothing to propose"))
    return found


def _personal() -> tuple[str, ...]:
    from kindred.models.retrieval import RETRIEVERS

    return (*RETRIEVERS, "content")


def _verdict(user_id: str, served: "Served") -> Finding:
    if not served.items:
        return trouble("slate", f"{user_id} gets nothing: {', '.join(served.degraded) or 'no item is eligible'}")
    sources = Counter(item.source for item in served.items)
    said = ", ".join(f"{count} from {name}" for name, count in sources.most_common())
    personal = sum(sources[name] for name in _personal())
    if personal:
        return ok("slate", f"{personal} of {len(served.items)} items are personal: {said}")
    return advice("slate", f"no item of {len(served.items)} is personal: {said}", "the lines above say why")
