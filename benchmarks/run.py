"""Prints the benchmark tables: the usual ones, or the ones named."""

import subprocess
import sys
from pathlib import Path

from benchmarks import (
    cached,
    consumer_memory,
    feature_read,
    fold_freshness,
    fold_speed,
    freshness,
    hit_rate,
    import_speed,
    latency,
    search_speed,
    similar,
    spike,
    tracking,
    tracking_kafka,
    vector_search,
)
from benchmarks.quality import cold_start, diversity, funnel, search, season
from benchmarks.scale import funnel as large
from benchmarks.scale import growth, masks, swap

TABLES = {
    "latency": latency.main,
    "cached": cached.main,
    "spike": spike.main,
    "tracking": tracking.main,
    "fold": fold_speed.main,
    "fold-freshness": fold_freshness.main,
    "features": feature_read.main,
    "freshness": freshness.main,
    "import": import_speed.main,
    "similar": similar.main,
    "quality": funnel.main,
    "vectors": vector_search.main,
}

# They need a broker, or a quarter of an hour and more.
ON_REQUEST = {
    "hits": hit_rate.main,
    "kafka": tracking_kafka.main,
    "memory": consumer_memory.main,
    "diversity": diversity.main,
    "large": large.main,
    "search": search_speed.main,
    "search-quality": search.main,
    "cold-start": cold_start.main,
    "season": season.main,
    "growth": growth.main,
    "masks": masks.main,
    "swap": swap.main,
}


def main() -> None:
    """Install the load generator, then run the tables."""
    wanted = sys.argv[1:] or list(TABLES)
    known = TABLES | ON_REQUEST
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise SystemExit(f"unknown: {', '.join(unknown)}; there are {', '.join(known)}")
    subprocess.run([Path(__file__).with_name("tools.sh")], check=True)
    for name in wanted:
        known[name]()


if __name__ == "__main__":
    main()
