"""Prints the benchmark tables: all of them, or the ones named."""

import subprocess
import sys
from pathlib import Path

from benchmarks import (
    consumer_memory,
    feature_read,
    fold_freshness,
    fold_speed,
    freshness,
    import_speed,
    latency,
    tracking,
    tracking_kafka,
)
from benchmarks.quality import funnel

TABLES = {
    "latency": latency.main,
    "tracking": tracking.main,
    "kafka": tracking_kafka.main,
    "fold": fold_speed.main,
    "fold-freshness": fold_freshness.main,
    "memory": consumer_memory.main,
    "features": feature_read.main,
    "freshness": freshness.main,
    "import": import_speed.main,
    "quality": funnel.main,
}


def main() -> None:
    """Install the load generator, then run the tables."""
    wanted = sys.argv[1:] or list(TABLES)
    unknown = [name for name in wanted if name not in TABLES]
    if unknown:
        raise SystemExit(f"unknown: {', '.join(unknown)}; there are {', '.join(TABLES)}")
    subprocess.run([Path(__file__).with_name("tools.sh")], check=True)
    for name in wanted:
        TABLES[name]()


if __name__ == "__main__":
    main()
