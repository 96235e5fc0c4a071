"""`kindred log repartition` on both kinds of logs."""

import asyncio
import json
from pathlib import Path

from tests.e2e.cli.conftest import runner
from tests.engines.kafka import Kafka

from kindred.adapters.kafka.event_log import open_event_log
from kindred.core.position import Position


def test_a_log_on_kafka_goes_on_with_more_partitions(kafka: Kafka, tmp_path: Path) -> None:
    place = kafka.location(tmp_path, partitions=4)
    kindred, log = runner(tmp_path / "home"), {"KINDRED_STORES_EVENT_LOG": f"kafka:{place}"}
    done = kindred("log", "repartition", "--partitions", "8", "--json", **log)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"epoch": 1, "partitions": 8}
    none = kindred("log", "repartition", "--partitions", "0", **log)
    assert none.returncode == 2
    assert "1 to 10,000" in none.stderr

    async def append() -> list[Position]:
        opened = await open_event_log(place, tmp_path)
        try:
            return await opened.append([(f"user-{number}", b"x") for number in range(100)])
        finally:
            await opened.close()

    placed = asyncio.run(append())
    assert {position.epoch for position in placed} == {1}
    assert {position.partition for position in placed} == set(range(8))


def test_an_embedded_log_says_that_it_has_one_partition_for_good(tmp_path: Path) -> None:
    done = runner(tmp_path / "home")("log", "repartition", "--partitions", "4")
    assert done.returncode == 2
    assert "one partition" in done.stderr
    assert "kafka://" in done.stderr
