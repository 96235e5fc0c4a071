"""Tracked events through HTTP into Kafka, beside what a bare producer gets from the same broker in the same run.

Both wait for the acknowledgement of the broker (acks=all, idempotent producer), which with one broker is its page
cache. The broker is that of the tests (`make engines` installs it) and shares the cores with servers and load; with
`--servers HOST:PORT` one that runs elsewhere is used.

python -m benchmarks.tracking_kafka [--servers HOST:PORT]
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from rich.console import Console
from rich.table import Table
from tests.engines.kafka import Kafka

from benchmarks.servers import machine, sample_home
from benchmarks.tracking import BATCH, CONNECTIONS, EVENT, SECONDS, Load, load, record

PARTITIONS = 4
_BATCH_CONNECTIONS = 4


@contextmanager
def broker(servers: str | None) -> Iterator[str]:
    """Give a broker's address: the one named, or that of one that runs for the block."""
    if servers:
        yield servers
        return
    missing = Kafka.available()
    if missing:
        raise SystemExit(f"no Kafka broker: {missing} (`make engines` installs it)")
    with tempfile.TemporaryDirectory(prefix="kindred-bench-kafka-") as folder:
        engine = Kafka(Path(folder) / "kafka")
        engine.start()
        try:
            yield engine.servers
        finally:
            engine.stop()


class Bare:
    """A producer that sends the same bytes, with a bounded number of them unacknowledged."""

    def __init__(self, servers: str) -> None:
        """Connect, and make a topic of its own."""
        self._topic = f"bare-{time.time_ns()}"
        admin = AdminClient({"bootstrap.servers": servers})
        admin.create_topics([NewTopic(self._topic, PARTITIONS, 1)])[self._topic].result()
        settings = {
            "bootstrap.servers": servers,
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": 1,
            "log_level": 0,
        }
        self._producer = Producer({**settings, "compression.type": "lz4", "queue.buffering.max.messages": 200_000})
        self._waits: list[float] = []
        self._unanswered = self._failed = 0

    def run(self, in_flight: int, seconds: float) -> Load:
        """Send for some seconds with at most `in_flight` records unanswered."""
        self._waits, self._failed = [], 0
        data, key = record(), str(EVENT["user_id"]).encode()
        begun = time.perf_counter()
        while time.perf_counter() - begun < seconds:
            while self._unanswered < in_flight:
                self._unanswered += 1
                self._producer.produce(self._topic, data, key, on_delivery=self._answers(time.perf_counter()))
            self._producer.poll(0.001)
        self._producer.flush(10)
        took = time.perf_counter() - begun
        waits = sorted(self._waits)
        p50, p99 = (1000 * waits[int(len(waits) * share)] for share in (0.5, 0.99))
        return Load(len(waits) / took, p50, p99, f"{len(waits) - self._failed} acknowledged, {self._failed} failed")

    def _answers(self, sent: float) -> Any:
        def answered(error: object, _: object) -> None:
            self._unanswered -= 1
            self._failed += error is not None
            self._waits.append(time.perf_counter() - sent)

        return answered


def main(servers: str | None = None) -> None:
    """Print the table."""
    table = Table(
        title=f"Tracked events into Kafka, acks=all, closed loop of {SECONDS} s ({machine()}, and the broker)"
    )
    names = ("events", "connections", "events/s", "p50 ms", "p99 ms", "bare/s", "bare p50", "bare p99", "of it")
    for column in (*names, "answers"):
        table.add_column(column, justify="left" if column in ("events", "answers") else "right")
    loads = [("single", "/api/v1/track", json.dumps(EVENT), connections, 1) for connections in CONNECTIONS]
    batch = json.dumps({"events": [EVENT] * BATCH})
    loads.append((f"batches of {BATCH:,}", "/api/v1/track/batch", batch, _BATCH_CONNECTIONS, BATCH))
    with broker(servers) as address, sample_home() as home:
        log, query = f"kafka://{address}/bench-{time.time_ns()}", f"?partitions={PARTITIONS}"
        urls = {"KINDRED_STORES_EVENT_LOG": log + query, "KINDRED_STORES_ITEM_LOG": f"{log}.items{query}"}
        server, bare = home.start("--no-consume", **urls), Bare(address)
        try:
            for name, path, body, connections, events in loads:
                found = load(home, [server], path, body, connections, events)
                limit = bare.run(connections * events, SECONDS)
                cells = [f"{found.rate:,.0f}", f"{found.p50:.1f}", f"{found.p99:.1f}"]
                cells += [
                    f"{limit.rate:,.0f}",
                    f"{limit.p50:.1f}",
                    f"{limit.p99:.1f}",
                    f"{found.rate / limit.rate:.0%}",
                ]
                table.add_row(name, str(connections), *cells, f"{found.answers}; bare: {limit.answers}")
        finally:
            server.stop()
    Console(width=150).print(table)


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--servers", metavar="HOST:PORT", help="a broker that runs already")
    main(options.parse_args().servers)
