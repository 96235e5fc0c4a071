"""Settings that can be read and yet cannot hold what they promise."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from kindred.cli.findings import Finding, advice, trouble

if TYPE_CHECKING:
    from kindred.pipeline.funnel import Deadlines
    from kindred.recommend.config import PlacementConfig, RecommendConfig
    from kindred.settings.load import Settings

MOST_ITEMS = 100


def broken_promises(settings: "Settings") -> list[Finding]:
    """Return what is set and cannot work as it says."""
    from kindred.app.sections import preference_config
    from kindred.models.blend import BlendConfig
    from kindred.pipeline.funnel import Deadlines
    from kindred.recommend.config import PlacementConfig, RecommendConfig

    recommend = settings.section(RecommendConfig)
    preference = preference_config(settings)
    blend = settings.section(BlendConfig)
    found = [
        *_depths("recommend", recommend),
        *_deadlines(settings.section(Deadlines)),
    ]
    for name, placement in settings.table("placements", PlacementConfig).items():
        found += placement_promises(name, placement, recommend)
    for name in ("standard", "cold_user", "cold_item"):
        found += _weights(f"blend.{name}", getattr(blend, name))
    if preference.negative_rating >= preference.positive_rating:
        found.append(
            trouble(
                "preference.negative_rating",
                f"{preference.negative_rating:g} is not below events.types.rating.threshold "
                f"({preference.positive_rating:g}), so one rating would be both liked and disliked",
                "lower preference.negative_rating",
            )
        )
    return found


def _depths(where: str, config: "RecommendConfig") -> Iterator[Finding]:
    if config.ranked > config.candidates:
        yield trouble(
            f"{where}.ranked",
            f"{config.ranked} candidates cannot be left of {config.candidates} that {where}.candidates lets in",
            f"raise {where}.candidates to at least {config.ranked}",
        )
    if config.ranked < MOST_ITEMS:
        yield advice(
            f"{where}.ranked",
            f"only {config.ranked} items are ranked, while a request may ask for {MOST_ITEMS}: such answers come short",
            f"raise {where}.ranked to at least {MOST_ITEMS}",
        )


def placement_promises(name: str, placement: "PlacementConfig", recommend: "RecommendConfig") -> Iterator[Finding]:
    """Return what a placement says and cannot hold."""
    where = f"placements.{name}"
    ranked = recommend.ranked if placement.ranked is None else placement.ranked
    candidates = recommend.candidates if placement.candidates is None else placement.candidates
    if ranked > candidates:
        yield trouble(f"{where}.ranked", f"{ranked} candidates cannot be left of {candidates}", "raise the candidates")
    if ranked < placement.count:
        yield trouble(
            f"{where}.count", f"{placement.count} items cannot come of {ranked} ranked ones", "raise `ranked`"
        )


def _weights(where: str, weights: Mapping[str, float]) -> Iterator[Finding]:
    from kindred.core.config import unknown_key
    from kindred.models.blend import WEIGHTABLE

    for name in weights:
        if name not in WEIGHTABLE:
            yield trouble(
                f"{where}.{name}", f"no family or model has this name: {unknown_key(name, WEIGHTABLE)}", "rename it"
            )
    if any(value < 0 for value in weights.values()):
        yield trouble(where, "a negative weight counts as 0", "give weights of 0 or more")
    if weights and not sum(max(value, 0) for value in weights.values()):
        yield trouble(where, "all weights are 0, so nothing can be scored", "give one family a weight above 0")


def _deadlines(deadlines: "Deadlines") -> Iterator[Finding]:
    for name in ("facts", "sources", "features", "effects"):
        value = getattr(deadlines, name)
        if value < 1:
            yield trouble(f"deadlines.{name}", f"nothing is ready within {value:g} ms", f"raise deadlines.{name}")
