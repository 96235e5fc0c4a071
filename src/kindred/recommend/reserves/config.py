"""Settings of the reserves."""

from typing import Annotated

from msgspec import Meta

from kindred.core.config import Amount, Config

_Bytes = Annotated[int, Meta(ge=0, le=1 << 40)]


class ReservesConfig(Config, frozen=True, kw_only=True):
    """How long ranked items are kept, so that a user's next answer need not rank the catalogue again.

    `enabled`: whether answers come from reserves at all. `seconds`: how long a reserve of a known user is used.
    `anonymous_seconds`: the same of users of whom nothing is known; they share one. `nothing_seconds`: the same where
    fewer items were found than asked for, or a stage failed. `precomputed_seconds`: for how long what `kindred
    precompute` ranked is used; older than `seconds` it is scored again before it is shown. `memory`: bytes of reserves
    that each server process keeps, the longest unused go first.
    """

    enabled: bool = False
    seconds: Amount = 300.0
    anonymous_seconds: Amount = 60.0
    nothing_seconds: Amount = 10.0
    precomputed_seconds: Amount = 86_400.0
    memory: _Bytes = 128 << 20
