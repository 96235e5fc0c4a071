"""What one request means to the reserves: whether one may answer it, and under which name it is kept."""

from dataclasses import dataclass, replace
from typing import Self

import msgspec
import xxhash

from kindred.core.position import START
from kindred.core.query import Query, UserFacts
from kindred.features.registry import UNKNOWN
from kindred.features.users import preference_version
from kindred.pipeline.funnel import Funnel
from kindred.pipeline.recorder import Recorder
from kindred.recommend.known_user import KnownUser
from kindred.recommend.placement_rules import rules_hash
from kindred.recommend.ranking import DEVICE
from kindred.recommend.world import World

_encode = msgspec.msgpack.Encoder().encode


@dataclass(frozen=True, slots=True)
class Request:
    """A query on its way, and its user as read when it began.

    `user`: under whom the reserve is kept, empty for all of whom nothing is known; `variant`: a hash of all that
    ranking depends on besides the user; `version`: the user's preference version.
    """

    world: World
    funnel: Funnel
    query: Query
    recorder: Recorder
    known: KnownUser
    user: str
    variant: int
    version: int

    @classmethod
    def of(cls, world: World, funnel: Funnel, query: Query, recorder: Recorder, known: KnownUser, salt: bytes) -> Self:
        """Work out what the request is kept under; `salt` stands for the settings."""
        user = "" if known.record is None else known.user_id
        salt += chosen_by(known) + forgotten_at(known) + circumstances(world, query)
        variant = variant_of(query, funnel, world.models.base, salt)
        return cls(world, funnel, query, recorder, known, user, variant, preference_version(known.record))

    @property
    def key(self) -> tuple[str, int]:
        """Return under what the reserve is kept."""
        return self.user, self.variant

    @property
    def keeps(self) -> bool:
        """Say whether what is ranked may answer others: not when this request left out items that they may want."""
        return not self.query.filters.exclude_items and not self.query.shown

    def positioned(self, facts: UserFacts) -> UserFacts:
        """Return facts of this preference version at the positions that were read."""
        version = self.known.version or START
        return replace(facts, version=version, state_version=max(version, self.known.watermark))


def keepable(query: Query) -> bool:
    """Say whether a reserve may answer a query at all.

    A full trace has to be worked out; an item on screen, a search, and a time other than now belong to one request
    alone.
    """
    alone = query.want_trace or query.search is not None or query.context.item is not None
    return not alone and query.context.time == query.received and not query.failures


def chosen_by(known: KnownUser) -> bytes:
    """Return what the user chose in their profile, of which an older reserve would hold little; empty for nothing."""
    profile = None if known.record is None else known.record.profile
    if profile is None or not (profile.preferred_categories or profile.preferred_tags):
        return b""
    return _encode((profile.preferred_categories, profile.preferred_tags))


def forgotten_at(known: KnownUser) -> bytes:
    """Return when the user was last forgotten: what was ranked before that is no reserve of theirs; empty for never."""
    return _encode(known.record.forgotten) if known.record is not None and known.record.forgotten else b""


def circumstances(world: World, query: Query) -> bytes:
    """Return what ranking reads of where a request comes from: the country, and a device that it tells from others.

    The ranker tells devices apart, and segments do. Page and session it does not read: what placement they led to, and
    what the user did, stand elsewhere.
    """
    ranker, device = world.models.ranker, query.context.device or UNKNOWN
    names = ranker.schema.categories.get(DEVICE, ()) if ranker is not None and world.config.ranker else ()
    ranked = device if len(names) > 1 and device in names else ""
    segments = world.models.segments.of(None, query.context.device, query.context.time)
    return _encode((query.context.country, ranked, segments))


def variant_of(query: Query, funnel: Funnel, base: str, salt: bytes) -> int:
    """Return a hash of all that ranking depends on besides the user; `salt` is what the query does not say itself.

    Ids to leave out are none of it: they are masks, so a reserve serves with and without them.
    """
    filters = query.filters
    if filters.exclude_items:
        filters = msgspec.structs.replace(filters, exclude_items=())
    params, rules = query.params, rules_hash(query.params.rules)
    if rules:
        params = msgspec.structs.replace(params, rules=())
    of = query.placement, filters, params, rules, base, funnel.source_names
    return xxhash.xxh3_64_intdigest(salt + _encode(of))
