"""Trace: what every stage of a request did."""

from typing import Any

import msgspec


class StageTrace(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One stage of one request: how long, how many in and out, what it removed or brought, and how it failed."""

    stage: str
    kind: str
    milliseconds: float = 0.0
    entered: int = 0
    left: int = 0
    detail: dict[str, Any] = {}
    error: str | None = None


class ItemTrace(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Why one candidate stands where it does.

    `item`: its ordinal. `parts`: what each model adds to the blend's score. `features`: what moved it most in the
    learned ranker, as log-odds, and `values`: what those features were. Both are empty where no ranker orders.
    """

    item: int
    score: float | None = None
    sources: list[str] = []
    parts: dict[str, float] = {}
    features: dict[str, float] = {}
    values: dict[str, float] = {}


class Trace(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The stages of a request in the order in which they ended, the items shown, and the versions that they saw.

    `placements_version`: the stored version of the placements that the request was asked under, 0 = the settings alone.
    `exact`: whether all of it is as it was when the request was answered, with the `cause` where it is not.
    """

    request_id: str
    stages: list[StageTrace] = []
    items: list[ItemTrace] = []
    bundle: str = ""
    state_version: str = ""
    milliseconds: float = 0.0
    exact: bool = True
    cause: str | None = None
    placements_version: int = 0
