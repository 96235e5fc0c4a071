"""Bulk import: files of items, users and interactions, through one mapping file, into catalogue, history and lake.

It loads data frames, so nothing that serves requests imports it.
"""

from kindred.ingest.importing.mapping import ImportMapping, load_mapping, parse_mapping
from kindred.ingest.importing.options import ImportOptions, ImportReport, ImportStores, Progress
from kindred.ingest.importing.run import run_import, sample_mapping

__all__ = [
    "ImportMapping",
    "ImportOptions",
    "ImportReport",
    "ImportStores",
    "Progress",
    "load_mapping",
    "parse_mapping",
    "run_import",
    "sample_mapping",
]
