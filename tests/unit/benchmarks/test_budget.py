"""What the time of a request goes to, beside what it may take."""

from benchmarks.scale.budget import BUDGET, WHOLE, lines


def test_every_stage_counts_in_one_line_and_all_of_the_time_is_told() -> None:
    stages = {
        WHOLE: (6.0, 1.0),
        "source · als": (1.5, 0.9),
        "source · new": (0.5, 1.0),
        "fine · ranker": (1.0, 1.0),
        "fine · pools": (0.25, 1.0),
        "explain · reasons": (0.5, 1.0),
    }
    told = {name: (limit, found, said) for name, limit, found, said in lines(stages, 7.0)}
    assert told["retrieval"] == (1.0, 2.0, ["als 1.50", "new 0.50"])
    assert told["ranker"][1:] == (1.0, ["ranker 1.00"])
    assert told["rerank, slots"][1] == 0.25
    assert told["decode, auth, cache; encode"][1] == 3.75
    assert told["processor, all"][1] == sum(told[line.name][1] for line in BUDGET) == 7.0
    assert round(sum(line.limit for line in BUDGET), 6) == 3.6


def test_a_request_that_waits_hides_nothing_of_what_http_costs() -> None:
    stages = {WHOLE: (9.0, 1.0), "source · als": (2.0, 1.0), "fine · ranker": (1.0, 1.0)}
    told = {name: found for name, _, found, _ in lines(stages, 5.0)}
    assert told["decode, auth, cache; encode"] == 2.0
    assert told["processor, all"] == sum(told[line.name] for line in BUDGET) == 5.0
    assert told["by the clock, from question to answer"] == 9.0
