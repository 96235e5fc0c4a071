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


class Trace(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The stages of a request in the order in which they ended, and the versions that they saw."""

    request_id: str
    stages: list[StageTrace] = []
    bundle: str = ""
    state_version: str = ""
    milliseconds: float = 0.0
    exact: bool = True
    cause: str | None = None
