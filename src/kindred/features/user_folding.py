"""A user's record while it is being changed: bytes all the way, since most changes put one row in front."""

from bisect import bisect_left
from operator import neg
from struct import Struct
from typing import Any

import numpy as np

from kindred.core.errors import InvalidInput
from kindred.core.position import Position
from kindred.core.profile import Profile
from kindred.features.attribution import (
    CLICK,
    CONVERSION,
    DWELL,
    LONGEST_DWELL,
    Credits,
    Exposure,
    Ledger,
    Outcome,
    slot_of,
)
from kindred.features.changes import Act, ItemAct, PlacementCredit, Removal, Shown
from kindred.features.counters import Amounts, add_up, pack_entries
from kindred.features.groups import MAX_TYPES, FoldConfig
from kindred.features.history import HistoryRows, merge_rows
from kindred.features.item_counters import credit_entries, exposure_entries
from kindred.features.sessions import add_session, kept_sessions
from kindred.features.user_counters import USER_COUNTERS, session_amounts
from kindred.features.users import UserRecord

_I32, _I64, _F32 = Struct("<i"), Struct("<q"), Struct("<f")
_COUNTRY = 2


class Draft:
    """The parts of a record that its owner's changes touch; `record` puts them together again."""

    __slots__ = (
        *("_config", "_ledger", "_rolled_ms", "alias", "aliases", "before", "codes", "forgotten", "interactions"),
        *("items", "merged", "profile", "recent", "rolled_count", "sealed", "seen", "sessions", "timestamps", "types"),
        "values",
    )

    def __init__(self, before: UserRecord, config: FoldConfig) -> None:
        """Start from a record."""
        self.before, self._config = before, config
        self.types = before.types
        self.items, self.timestamps = before.items, before.timestamps
        self.codes, self.values, self.seen = before.codes, before.values, before.seen
        self.interactions, self.recent = before.interactions, before.recent()
        self.profile, self.sessions = before.profile, before.sessions
        self.alias, self.sealed, self.merged = before.alias, before.sealed, before.merged
        self.aliases, self.forgotten = before.aliases, before.forgotten
        self.rolled_count = self._rolled_ms = 0
        self._ledger = Ledger(before.exposures, before.outcomes, before.places, config)

    @property
    def country(self) -> str:
        """Return the profile's country in capitals, or nothing."""
        return country_of_profile(self.profile)

    def admit(self, event: int, offset: int, arrival: int) -> bool:
        """Remember an event's id; say no when it is known at another place."""
        config = self._config
        recent = self.recent.admit(event, offset, arrival, config.recent_events, config.recent_age * 1000)
        if recent is None:
            return False
        self.recent = recent
        return True

    def session(self, timestamp: int) -> None:
        """Count a moment (ms) into the sessions."""
        config = self._config
        keep = kept_sessions(config.session_gap, config.lateness)
        rolled = add_session(self.sessions, timestamp, config.session_gap * 1000, keep)
        self.sessions = rolled.intervals
        self.rolled_count += rolled.sessions
        self._rolled_ms += rolled.length

    def rolled(self, owner: int) -> Amounts:
        """Return what sessions that left the list add to the counters of `owner`."""
        return session_amounts(owner, self.rolled_count, self._rolled_ms)

    def row(self, act: Act) -> None:
        """Put an act into the newest rows and the seen items."""
        self.interactions += 1
        self._see(act.item)
        most = self._config.history_rows
        place = self._place(act.timestamp)
        if place < 0:
            added = HistoryRows.of([(act.item, act.timestamp, act.event_type, act.value)])
            self._take_rows(merge_rows(self._rows(), added, most))
            return
        if place >= most:
            return
        if act.event_type not in self.types:
            if len(self.types) >= MAX_TYPES:
                raise InvalidInput(f"more than {MAX_TYPES} event types of one user; a record holds no more")
            self.types = [*self.types, act.event_type]
        code = bytes((self.types.index(act.event_type),))
        self.items = _spliced(self.items, 4 * place, _I32.pack(act.item))[: 4 * most]
        self.timestamps = _spliced(self.timestamps, 8 * place, _I64.pack(act.timestamp))[: 8 * most]
        self.codes = _spliced(self.codes, place, code)[:most]
        self.values = _spliced(self.values, 4 * place, _F32.pack(act.value))[: 4 * most]

    def _place(self, timestamp: int) -> int:
        """Return where a row of that time (ms) stands among the newest ones, -1 where rows of the same time do."""
        times = self.timestamps
        if not times or timestamp > _I64.unpack_from(times)[0]:
            return 0
        listed = memoryview(times).cast("q")
        place = bisect_left(listed, -timestamp, key=neg)
        return -1 if place < len(listed) and listed[place] == timestamp else place

    def remove(self, removal: Removal) -> None:
        """Take an item, or the reactions to it, out of the rows."""
        rows = self._rows()
        gone = rows.items == removal.item
        if removal.reactions:
            reactions = np.array([name in self._config.reactions for name in rows.names] or [False], np.bool_)
            gone &= reactions[rows.codes]
        else:
            seen = np.frombuffer(self.seen, "<i4")
            self.seen = seen[seen != removal.item].tobytes()
        self._take_rows(rows.take(~gone))

    def outcome(self, act: Act, credits: list[PlacementCredit]) -> bytes:
        """Put an act down to what was shown; return the item's entries of it, and add to `credits` of placements."""
        config, found = self._config, b""
        if act.event_type in config.clicks:
            found += self._outcome(act, CLICK, 0, credits)
        if act.event_type in config.conversions:
            found += self._outcome(act, CONVERSION, 0, credits)
        if act.watch == act.watch:
            found += self._outcome(act, DWELL, min(round(act.watch * 1000), LONGEST_DWELL), credits)
        return found

    def _outcome(self, act: Act, kind: int, dwell: int, credits: list[PlacementCredit]) -> bytes:
        """Put one thing that an act did down to what was shown."""
        outcome = Outcome(act.timestamp, act.request, act.item, kind, dwell)
        changed = self._ledger.outcome(outcome, act.arrival)
        return self._credit(act.position, changed, credits) if changed else b""

    def shown(self, shown: Shown, credits: list[PlacementCredit]) -> list[ItemAct]:
        """Note exposures; return what they add to items, and add to `credits` of placements."""
        place, position = self._ledger.place(shown.placement), shown.position
        placement = self._ledger.places[place]
        slots = {item: slot_of(shown.first + number) for number, item in reversed(list(enumerate(shown.items)))}
        exposures = [
            Exposure(shown.timestamp, shown.request, item, slots[item], place) for item in dict.fromkeys(shown.items)
        ]
        acts = []
        for exposure, told in zip(exposures, self._ledger.shown(exposures, shown.arrival), strict=True):
            extra = self._credit(position, told.credits, credits) if told.credits else b""
            if told.new:
                credits.append(PlacementCredit(position, placement, exposure.slot, 1))
            if told.moved is not None:
                old = told.moved
                credits.append(PlacementCredit(position, self._ledger.places[old.place], old.slot, -1))
                credits.append(PlacementCredit(position, placement, exposure.slot, 1))
                extra += pack_entries([*exposure_entries(old.timestamp, -1), *exposure_entries(exposure.timestamp, 1)])
            if shown.client or told.new or extra:
                event_type = shown.event_type if shown.client else ""
                acts.append(
                    ItemAct(
                        position,
                        exposure.item,
                        event_type,
                        shown.timestamp,
                        exposed=told.new,
                        country=shown.country or self.country,
                        extra=extra,
                    )
                )
        return acts

    def ledger(self) -> dict[str, Any]:
        """Return the fields of a record that hold exposures and outcomes."""
        ledger = self._ledger
        return {"exposures": ledger.exposures, "outcomes": ledger.outcomes, "places": ledger.places}

    def record(self, counters: bytes, rolled: bool = True) -> UserRecord:
        """Return the record with `counters`, and with what sessions left the list where they do not hold it yet."""
        if rolled and self.rolled_count:
            counters = add_up([counters], self.rolled(0), USER_COUNTERS.keep)[0]
        return UserRecord(
            self.types,
            self.items,
            self.timestamps,
            self.codes,
            self.values,
            self.seen,
            self.interactions,
            self.recent.events,
            self.recent.offsets,
            self.recent.arrivals,
            self.profile,
            counters,
            self.sessions,
            self._ledger.exposures,
            self._ledger.outcomes,
            self._ledger.places,
            self.alias,
            self.sealed,
            self.merged,
            self.aliases,
            self.forgotten,
        )

    def _see(self, item: int) -> None:
        """Add an item to the seen ones."""
        view = memoryview(self.seen).cast("i")
        place = bisect_left(view, item)
        if place < len(view) and view[place] == item:
            return
        seen = self.seen[: 4 * place] + _I32.pack(item) + self.seen[4 * place :]
        self.seen = seen[-4 * self._config.seen_items :]

    def _credit(self, position: Position, changed: Credits, credits: list[PlacementCredit]) -> bytes:
        """Return the entries of changed credits, and note them for their placements."""
        places = self._ledger.places
        entries: list[tuple[int, int]] = []
        for exposure, credit in changed.items():
            entries += credit_entries(exposure.timestamp, *credit)
            credits.append(PlacementCredit(position, places[exposure.place], exposure.slot, 0, *credit))
        return pack_entries(entries)

    def _rows(self) -> HistoryRows:
        return HistoryRows(
            np.frombuffer(self.items, "<i4"),
            np.frombuffer(self.timestamps, "<i8"),
            np.frombuffer(self.codes, np.uint8),
            np.frombuffer(self.values, "<f4"),
            tuple(self.types),
        )

    def _take_rows(self, rows: HistoryRows) -> None:
        self.types = list(rows.names)
        self.items, self.timestamps = rows.items.tobytes(), rows.timestamps.tobytes()
        self.codes, self.values = rows.codes.tobytes(), rows.values.tobytes()


def country_of_profile(profile: Profile | None) -> str:
    """Return a profile's country in capitals, or nothing."""
    country = profile.country if profile is not None else None
    return country.upper() if country and len(country) == _COUNTRY else ""


def _spliced(column: bytes, place: int, added: bytes) -> bytes:
    """Put bytes into a column."""
    return column[:place] + added + column[place:] if place else added + column
