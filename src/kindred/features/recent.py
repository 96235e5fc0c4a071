"""The event ids that a user record remembers, as three parallel columns of bytes, oldest first."""

from struct import Struct

import msgspec

_U64 = Struct("<Q")
_I64 = Struct("<q")
_WIDTH = 8


class Recent(msgspec.Struct, frozen=True, gc=False):
    """`events` uint64 hashes of event ids, `offsets` int64 in the log, `arrivals` int64 ms; little-endian."""

    events: bytes = b""
    offsets: bytes = b""
    arrivals: bytes = b""

    def place(self, event: int) -> int:
        """Return where an event stands, in bytes, or -1."""
        sought = _U64.pack(event)
        place = self.events.find(sought)
        while place >= 0 and place % _WIDTH:
            place = self.events.find(sought, place + 1)
        return place

    def admit(self, event: int, offset: int, arrival: int, most: int, age: int) -> "Recent | None":
        """Remember an event, at most `most` and none older than `age` ms; None when it is known already."""
        events, offsets, arrivals = self.events, self.offsets, self.arrivals
        oldest = arrival - age
        place = self.place(event)
        if place >= 0:
            if _I64.unpack_from(arrivals, place)[0] >= oldest:
                return None
            events, offsets, arrivals = (
                column[:place] + column[place + _WIDTH :] for column in (events, offsets, arrivals)
            )
        events += _U64.pack(event)
        offsets += _I64.pack(offset)
        arrivals += _I64.pack(arrival)
        drop = max(0, len(events) - most * _WIDTH)
        while _I64.unpack_from(arrivals, drop)[0] < oldest:
            drop += _WIDTH
        if drop:
            events, offsets, arrivals = events[drop:], offsets[drop:], arrivals[drop:]
        return Recent(events, offsets, arrivals)

    def joined(self, other: "Recent", most: int) -> "Recent":
        """Return the events of both, by arrival, at most the newest `most`; known ones stay as they are here."""
        found = other.listed() | self.listed()
        chosen = sorted(found.items(), key=lambda entry: (entry[1][1], entry[0]))[-most:]
        return Recent(
            b"".join(_U64.pack(event) for event, _ in chosen),
            b"".join(_I64.pack(known[0]) for _, known in chosen),
            b"".join(_I64.pack(known[1]) for _, known in chosen),
        )

    def listed(self) -> dict[int, tuple[int, int]]:
        """Return event hash → (offset, arrival), oldest first."""
        events = (value for (value,) in _U64.iter_unpack(self.events))
        offsets = (value for (value,) in _I64.iter_unpack(self.offsets))
        arrivals = (value for (value,) in _I64.iter_unpack(self.arrivals))
        return dict(zip(events, zip(offsets, arrivals, strict=True), strict=True))
