"""The house rules hold over the whole tree."""

from statistics import median, quantiles

from tests.architecture import rules
from tests.architecture.cycles import find_cycle
from tests.architecture.tree import (
    REPOSITORY,
    SOURCE,
    function_length,
    functions,
    source_modules,
    tracked_texts,
)


def _report(findings: list[str]) -> str:
    return "\n" + "\n".join(findings)


def test_no_module_or_function_is_over_the_limit() -> None:
    found = list(rules.too_long(source_modules()))
    assert not found, _report(found)


def test_modules_are_small_as_a_rule() -> None:
    sizes = sorted(((module.lines, str(module.path)) for module in source_modules()), reverse=True)
    lines = [size for size, _ in sizes]
    largest = "largest: " + ", ".join(f"{path} {size}" for size, path in sizes[:8])
    assert median(lines) < 120, f"median module has {median(lines)} lines (under 120); {largest}"
    p90 = quantiles(lines, n=10)[-1]
    assert p90 < 350, f"the 90th percentile of modules is {p90:.0f} lines (under 350); {largest}"


def test_functions_are_small_as_a_rule() -> None:
    sizes = sorted(
        (
            (function_length(node), f"{module.at(node)} {node.name}")
            for module in source_modules()
            for node in functions(module)
        ),
        reverse=True,
    )
    lines = [size for size, _ in sizes]
    largest = "largest: " + ", ".join(f"{place} {size}" for size, place in sizes[:12])
    assert median(lines) <= 12, f"median function has {median(lines)} lines (at most 12); {largest}"
    p90 = quantiles(lines, n=10)[-1]
    assert p90 <= 35, f"the 90th percentile of functions is {p90:.0f} lines (at most 35); {largest}"


def test_public_names_are_documented() -> None:
    found = list(rules.undocumented(source_modules()))
    assert not found, _report(found)


def test_ports_are_narrow() -> None:
    ports = [module for module in source_modules() if "ports" in module.path.parts]
    assert ports
    found = list(rules.wide_ports(ports))
    assert not found, _report(found)


def test_rooms_and_modules_have_telling_names() -> None:
    files = [path.relative_to(SOURCE) for path in SOURCE.rglob("*.py")]
    found = list(rules.vague_names(files))
    assert not found, _report(found)


def test_no_pickle_eval_shell_or_unfinished_method() -> None:
    found = list(rules.unsafe_code(source_modules()))
    assert not found, _report(found)


def test_no_leftovers() -> None:
    found = list(rules.leftovers(tracked_texts(REPOSITORY)))
    assert not found, _report(found)


def test_no_machine_paths_or_registry_hosts() -> None:
    found = list(rules.foreign_places(tracked_texts(REPOSITORY)))
    assert not found, _report(found)


def test_no_import_cycles() -> None:
    cycle = find_cycle("kindred")
    assert not cycle, " -> ".join(cycle)
