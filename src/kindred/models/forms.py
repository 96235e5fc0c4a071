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


def fastest(forms: Sequence[Form]) -> Form:
    """Return the fastest form whose NDCG is at most `LOSS` of the best one's below it; of equals the earlier.

    Raises InvalidInput without any form.
    """
    if not forms:
        raise InvalidInput.at("/forms", "is empty: measure at least one")
    best = max(form.ndcg for form in forms)
    return min((form for form in forms if form.ndcg >= (1 - LOSS) * best), key=lambda form: form.milliseconds)
