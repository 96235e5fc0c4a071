"""What each part of a request may take of a core, and what the stages in it took."""

from collections.abc import Iterator
from typing import NamedTuple

import httpx
from prometheus_client.parser import text_string_to_metric_families
from rich.table import Table

WHOLE = "whole request"
Stages = dict[str, tuple[float, float]]
"""Time and runs by `kind · stage`, and of the `whole request`."""


class Line(NamedTuple):
    """One line of the budget: how many milliseconds, for stages of these kinds, or for these stages."""

    name: str
    limit: float
    kinds: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()


HTTP = Line("decode, auth, cache; encode", 0.4, ("explain",))
BUDGET = (
    HTTP,
    Line("state", 0.2, ("facts",)),
    Line("retrieval", 1.0, ("source",)),
    Line("masks, coarse", 0.3, ("eligibility", "coarse")),
    Line("item features", 0.5, ("features",)),
    Line("ranker", 0.7, ("fine",)),
    Line("rerank, slots", 0.5, ("rerank", "filter"), ("fine · pools",)),
)


def line_of(stage: str) -> Line:
    """Return the line that a stage counts in."""
    named = [line for line in BUDGET if stage in line.stages]
    return (named or [line for line in BUDGET if stage.partition(" · ")[0] in line.kinds] or [HTTP])[0]


def lines(stages: Stages, processor: float) -> Iterator[tuple[str, float | None, float, list[str]]]:
    """Yield each line with its limit, what was found, and its stages; `processor`: milliseconds of the whole request.

    What the processor spent outside of the stages is HTTP, what follows an answer, and what lies between stages. Stages
    are timed by the clock, so where they wait for one another or for stores that is too little, even below zero: the
    last line tells how long a request took by the clock, to judge it by.
    """
    inside = {name: one for name, one in stages.items() if name != WHOLE}
    outside = processor - sum(spent for spent, _ in inside.values())
    for line in BUDGET:
        mine = [name for name in inside if line_of(name) is line]
        said = [f"{name.partition(' · ')[2]} {inside[name][0]:.2f}" for name in mine]
        if line is HTTP:
            said.append(f"HTTP, what follows an answer, between stages {outside:.2f}")
        yield line.name, line.limit, sum(inside[name][0] for name in mine) + outside * (line is HTTP), said
    yield "processor, all", sum(line.limit for line in BUDGET), processor, []
    yield "by the clock, from question to answer", None, stages[WHOLE][0], []


def table_of(stages: Stages, processor: float) -> Table:
    """Return the table of what the time goes to."""
    table = Table("part", "budget ms", "found ms", "stages", title="What the time of a request goes to, open loop")
    for name, limit, found, said in lines(stages, processor):
        table.add_row(name, "" if limit is None else f"{limit:.1f}", f"{found:.2f}", ", ".join(said))
    return table


def stage_seconds(url: str) -> Stages:
    """Return seconds and runs so far by stage, and of the whole request, from a server's metrics."""
    found: dict[str, list[float]] = {}
    for family in text_string_to_metric_families(httpx.get(f"{url}/metrics").text):
        if family.name in ("kindred_stage_seconds", "kindred_recommend_seconds"):
            for sample in family.samples:
                if sample.name.endswith(("_sum", "_count")):
                    both = found.setdefault(_stage(sample.labels), [0.0, 0.0])
                    both[sample.name.endswith("_count")] += sample.value
    return {name: (seconds, runs) for name, (seconds, runs) in found.items()}


def _stage(labels: dict[str, str]) -> str:
    return f"{labels['kind']} · {labels['stage']}" if "stage" in labels else WHOLE
