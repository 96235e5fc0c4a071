"""Import cycles between the modules of a package, found in its import graph."""

from graphlib import CycleError, TopologicalSorter

import grimp


def find_cycle(package: str) -> list[str]:
    """Return the modules of one import cycle in the package, in order; empty when there is none.

    An import inside a function or under TYPE_CHECKING counts like any other.
    """
    graph = grimp.build_graph(package, cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []
