"""Forms of one network, whole or made smaller, and which of them is worth serving."""

from collections.abc import Sequence

import msgspec

from kindred.core.errors import InvalidInput

WHOLE, INT8, STUDENT = "float32", "int8", "student"
LOSS = 0.01
"""Share of the best form's NDCG that a faster form may lose."""


class Form(msgspec.Struct, frozen=True):
    """One form of a network: `size` of its file in bytes, `milliseconds` of a usual call, `ndcg` on held-out users."""

    name: str
    size: int
    milliseconds: float
    ndcg: float

    def __str__(self) -> str:
        """Say what was measured, in one line."""
        return f"{self.name}: {self.size} bytes, {self.milliseconds:.3f} ms, ndcg@10 {self.ndcg:.4f}"


def fastest(forms: Sequence[Form]) -> Form:
    """Return the fastest form whose NDCG is at most `LOSS` of the best one's below it; of equals the earlier.

    Raises InvalidInput without any form.
    """
    if not forms:
        raise InvalidInput.at("/forms", "is empty: measure at least one")
    best = max(form.ndcg for form in forms)
    return min((form for form in forms if form.ndcg >= (1 - LOSS) * best), key=lambda form: form.milliseconds)


def figures(forms: Sequence[Form]) -> dict[str, float]:
    """Return what was measured, as metrics by form; `served` is 1 for the form that is. Empty without any form."""
    found: dict[str, float] = {}
    for form in forms:
        found |= {
            f"{form.name}.bytes": float(form.size),
            f"{form.name}.ms": round(form.milliseconds, 4),
            f"{form.name}.ndcg@10": round(form.ndcg, 6),
            f"{form.name}.served": float(form is fastest(forms)),
        }
    return found
