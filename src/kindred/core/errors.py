"""The one tree of errors; adapters translate driver errors into it at their boundary.

::

    KindredError
    ├── InvalidInput          bad input, with one `Fault` per field          400
    ├── NotAvailableYet       a documented capability this release lacks     422
    ├── Unauthorized          no token, or an unknown one                    401
    ├── Forbidden             the token lacks the scope                      403
    ├── NotFound                                                             404
    ├── Conflict              a second owner, a busy port, a held lease      409
    │   ├── LeaseHeld
    │   ├── BundleRefused     what was trained did not pass the gate
    │   └── StateWentBack     a store holds less than its writer built on
    ├── Gone                  kept once, past its retention                  410
    ├── TooLarge              a body over the limit                          413
    ├── Overloaded            try again after `retry_after` seconds          503
    │   └── StoreUnavailable  a store cannot be reached or has no room
    │       └── StoreFull
    ├── BundleError           about trained artefacts                        503
    │   ├── NoBundle
    │   ├── BundleCorrupt
    │   └── BundleMismatch    made for another schema
    └── ConfigError           a setting cannot be used
"""

from collections.abc import Sequence

import msgspec


class Fault(msgspec.Struct, frozen=True):
    """One thing wrong with an input: where (a JSON pointer), what, and what to do."""

    pointer: str
    detail: str


class KindredError(Exception):
    """Base of every error that Kindred raises on purpose."""

    status = 500
    code = "internal_error"
    title = "Internal error"

    def __init__(self, detail: str = "") -> None:
        """Keep the sentence a person reads."""
        super().__init__(detail or self.title)
        self.detail = detail or self.title


class InvalidInput(KindredError):
    """The input breaks a documented rule."""

    status = 400
    code = "invalid_input"
    title = "The input breaks a rule"

    def __init__(self, detail: str = "", faults: Sequence[Fault] = ()) -> None:
        """Keep one fault per offending field."""
        super().__init__(detail or "; ".join(f"{f.pointer}: {f.detail}" for f in faults))
        self.faults = tuple(faults)

    @classmethod
    def at(cls, pointer: str, detail: str) -> "InvalidInput":
        """Build the error for a single field."""
        return cls(faults=(Fault(pointer, detail),))

    def within(self, pointer: str, *shared: str) -> "InvalidInput":
        """Return the same error of an input that stands at `pointer` of a larger one, but for fields of the larger."""
        at = ["" if fault.pointer.startswith(shared) else pointer for fault in self.faults]
        return type(self)(faults=[Fault(a + f.pointer, f.detail) for a, f in zip(at, self.faults, strict=True)])


class NotAvailableYet(InvalidInput):
    """A documented field whose capability this release does not have."""

    status = 422
    code = "not_available_yet"
    title = "Not available yet"


class Unauthorized(KindredError):
    """The request carries no valid token."""

    status = 401
    code = "unauthorized"
    title = "A valid token is needed"


class Forbidden(KindredError):
    """The token lacks the scope that the call needs."""

    status = 403
    code = "forbidden"
    title = "The token lacks a scope"


class NotFound(KindredError):
    """Nothing of that id is known."""

    status = 404
    code = "not_found"
    title = "Not found"


class Conflict(KindredError):
    """The state of the world forbids it: a second owner, a port in use."""

    status = 409
    code = "conflict"
    title = "Conflict"


class LeaseHeld(Conflict):
    """Another process holds the lease, or took it over from this one."""

    code = "lease_held"
    title = "Another process holds the lease"


class BundleRefused(Conflict):
    """What was trained did not pass the gate, so it is not published and the active bundle stays."""

    code = "bundle_refused"
    title = "The new bundle was refused"


class StateWentBack(Conflict):
    """The state holds less than what a write was built on, as a restored copy or a late replica does."""

    code = "state_went_back"
    title = "The state went back"


class Gone(KindredError):
    """It was kept once and its retention has passed."""

    status = 410
    code = "gone"
    title = "Gone"


class TooLarge(KindredError):
    """The input is over a documented size limit."""

    status = 413
    code = "too_large"
    title = "Too large"


class Overloaded(KindredError):
    """Nothing was claimed; the same call may succeed after `retry_after` seconds."""

    status = 503
    code = "overloaded"
    title = "Try again later"

    def __init__(self, detail: str = "", retry_after: int = 1) -> None:
        """Keep the whole seconds a client should wait."""
        super().__init__(detail)
        self.retry_after = retry_after


class StoreUnavailable(Overloaded):
    """A store cannot be reached or refuses the write."""

    code = "store_unavailable"
    title = "A store cannot be reached"


class StoreFull(StoreUnavailable):
    """A store has no room left: disk, map size or quota."""

    code = "store_full"
    title = "A store has no room left"


class BundleError(KindredError):
    """Something about trained artefacts."""

    status = 503
    code = "bundle_error"
    title = "The trained bundle cannot be used"


class NoBundle(BundleError):
    """No bundle was published yet."""

    code = "no_bundle"
    title = "No bundle was trained yet: run `kindred train`"


class BundleCorrupt(BundleError):
    """A file of the bundle is missing, cut short or of another shape than its manifest says."""

    code = "bundle_corrupt"
    title = "The bundle is damaged"


class BundleMismatch(BundleError):
    """The bundle was made for another schema."""

    code = "bundle_mismatch"
    title = "The bundle was made for another schema"


class ConfigError(KindredError):
    """A setting is unknown, of the wrong type, or cannot keep its promise."""

    code = "config_error"
    title = "The configuration cannot be used"
