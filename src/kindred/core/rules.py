"""Business rules of a surface: what stands at a fixed slot, and what is raised, lowered or promoted."""

from typing import Annotated, Self

from msgspec import Meta

from kindred.core.config import Config, unknown_key
from kindred.core.errors import ConfigError
from kindred.core.ids import id_fault

MOST_RULES = 50
_KINDS = ("pin", "boost", "bury", "promote")
_Ids = Annotated[tuple[str, ...], Meta(max_length=100)]
_Names = Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=256)], ...], Meta(max_length=100)]


class Rule(Config, frozen=True, kw_only=True):
    """One rule over the items that it names, or that bear a category or a tag that it names.

    `kind`: `pin` puts its one item at `slot`; `boost` raises and `bury` lowers scores; `promote` raises them too, and
    at most `cap` of its items stand in one slate. `items`: ids of the catalogue. `categories`, `tags`: names, capitals
    do not matter. `slot`: 1 = the first. `factor`: what the score is multiplied by, at least 1 for boost and promote,
    at most 1 for bury. `cap`: of a promotion. A field that the kind does not take raises ConfigError, as does a missing
    one.
    """

    kind: str = "boost"
    items: _Ids = ()
    categories: _Names = ()
    tags: _Names = ()
    slot: Annotated[int, Meta(ge=1, le=100)] | None = None
    factor: Annotated[float, Meta(ge=0, le=100)] | None = None
    cap: Annotated[int, Meta(ge=1, le=100)] | None = None

    def __post_init__(self) -> None:
        """Check that the fields fit the kind."""
        if self.kind not in _KINDS:
            raise ConfigError(f"rules: kind {self.kind!r}: {unknown_key(self.kind, _KINDS)}")
        wanted = {"pin": ("slot",), "promote": ("factor", "cap")}.get(self.kind, ("factor",))
        for name in ("slot", "factor", "cap"):
            if (getattr(self, name) is None) == (name in wanted):
                raise ConfigError(f"rules: {self.kind} {'needs' if name in wanted else 'takes no'} `{name}`")
        if self.kind == "pin" and (len(self.items) != 1 or self.categories or self.tags):
            raise ConfigError("rules: pin needs one id in `items`, and neither `categories` nor `tags`")
        if not (self.items or self.categories or self.tags):
            raise ConfigError(f"rules: {self.kind} needs `items`, `categories` or `tags`")
        for fault in map(id_fault, self.items):
            if fault is not None:
                raise ConfigError(f"rules: an id in `items` {fault}")
        if self.kind == "bury" and (self.factor or 0) > 1:
            raise ConfigError(f"rules: bury needs a `factor` of at most 1, is {self.factor:g}")
        if self.kind in ("boost", "promote") and (self.factor or 0) < 1:
            raise ConfigError(f"rules: {self.kind} needs a `factor` of at least 1, is {self.factor:g}")

    @classmethod
    def check_all(cls, rules: tuple[Self, ...]) -> None:
        """Raise ConfigError when two pins want one slot or one item."""
        pins = [rule for rule in rules if rule.kind == "pin"]
        for name, found in (("slot", [str(pin.slot) for pin in pins]), ("item", [pin.items[0] for pin in pins])):
            doubled = next((one for one in found if found.count(one) > 1), None)
            if doubled is not None:
                raise ConfigError(f"rules: two pins name the {name} {doubled}")
