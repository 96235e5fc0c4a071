"""The stores in PostgreSQL while the server is killed, restarted, stopped, read-only or full, and between processes."""

import asyncio
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from tests.engines.postgres import Postgres

from kindred.adapters.postgres.catalog import PostgresCatalog, open_catalog
from kindred.adapters.postgres.interactions import PostgresInteractions, open_interactions
from kindred.adapters.postgres.leases import open_leases
from kindred.adapters.postgres.traces import open_traces
from kindred.core.errors import StoreFull, StoreUnavailable
from kindred.core.position import START
from kindred.testing.catalog_suite import items
from kindred.testing.interactions_suite import columns, row

WORKER = Path(__file__).with_name("postgres_worker.py")


@pytest.fixture
def start() -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Start workers, `start(command, location, …)`; they are killed at the end."""
    running: list[subprocess.Popen[str]] = []

    def begin(*arguments: str) -> "subprocess.Popen[str]":
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        command = [sys.executable, str(WORKER), *arguments]
        pipe = subprocess.PIPE
        running.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment))
        return running[-1]

    yield begin
    for process in running:
        process.kill()
        process.communicate()


def location(server: Postgres, home: Path, **options: object) -> str:
    return server.schema_url(home, **options).removeprefix("postgresql:")


async def run_as_admin(server: Postgres, *statements: str) -> None:
    connection = await asyncpg.connect(server.url)
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


async def until(condition: Callable[[], Awaitable[bool]], patience: float = 30) -> None:
    async with asyncio.timeout(patience):
        while not await condition():
            await asyncio.sleep(0.02)


@asynccontextmanager
async def closing(store: Any) -> Any:
    try:
        yield store
    finally:
        await store.close()


async def followed(store: PostgresCatalog) -> list[tuple[str, int, int]]:
    return [(each.item.item_id, each.ordinal, each.seq) for each in await store.changes_since(0, 100_000)]


async def test_processes_that_write_the_same_new_items_share_ordinals_and_a_feed_without_gap(
    postgres: Postgres, tmp_path: Path, start: Callable[..., "subprocess.Popen[str]"]
) -> None:
    where = location(postgres, tmp_path)
    # All at once: they make the tables together, too.
    writers = [start("upsert", where, str(number), "40") for number in range(3)]
    assert [each.stdout.readline() for each in writers] == ["ready\n"] * 3
    async with closing(await open_catalog(where, tmp_path)) as store:
        for each in writers:
            each.stdin.write("\n")
            each.stdin.flush()
        seen: list[int] = []
        while any(each.poll() is None for each in writers) or await store.changes_since(len(seen), 1):
            changes = await store.changes_since(len(seen), 50)
            # Never a number behind one that was seen before: whoever follows the feed misses nothing.
            assert [each.seq for each in changes] == list(range(len(seen) + 1, len(seen) + 1 + len(changes)))
            seen += [each.ordinal for each in changes]
        assert sorted(seen) == list(range(40 * 5 + 3 * 40))
        told = {tuple(line.split()) for each in writers for line in each.stdout.read().splitlines()}
        assert told == {(item_id, str(ordinal)) for item_id, ordinal, _ in await followed(store)}


async def test_a_server_killed_under_writes_keeps_what_it_acknowledged_and_is_found_again(
    postgres_apart: Postgres, tmp_path: Path
) -> None:
    where = location(postgres_apart, tmp_path, timeout=5)
    catalog, history = await open_catalog(where, tmp_path), await open_interactions(where, tmp_path)
    acknowledged: dict[str, int] = {}
    added: list[int] = []
    refused: list[StoreUnavailable] = []
    stop = asyncio.Event()

    async def write(task: int) -> None:
        number = 0
        while not stop.is_set():
            try:
                item_id = f"{task}-{number}"
                acknowledged[item_id] = (await catalog.upsert(items(item_id), 1))[0]
                await history.add([row(f"user {task}", number, "view", number)], START)
                added.append(number)
                number += 1
            except StoreUnavailable as error:
                refused.append(error)
                await asyncio.sleep(0.01)

    async with closing(catalog), closing(history):
        writing = [asyncio.create_task(write(task)) for task in range(6)]
        for _ in range(3):
            before = len(added)
            await until(lambda before=before: _true(len(added) >= before + 60))
            was_refused = len(refused)
            postgres_apart.kill()
            await until(lambda was=was_refused: _true(len(refused) > was))
            await asyncio.to_thread(postgres_apart.start)
        before = len(added)
        await until(lambda: _true(len(added) >= before + 60))
        stop.set()
        await asyncio.gather(*writing)
        feed = await followed(catalog)
        # What was not acknowledged may be there: its writer tried again and got the same ordinal.
        assert {item_id: ordinal for item_id, ordinal, _ in feed}.items() >= acknowledged.items()
        assert [seq for *_, seq in feed] == list(range(1, len(feed) + 1))
        assert sorted(ordinal for _, ordinal, _ in feed) == list(range(len(feed)))
        assert (await history.counts())[0] == len(added)
        assert not any(_mentions_secret(error) for error in refused)


async def _true(value: bool) -> bool:
    return value


def _mentions_secret(error: BaseException) -> bool:
    return "pw for:tests" in str(error) or "pw%20for" in str(error)


async def test_a_stopped_server_is_said_to_be_unavailable_and_is_found_again(
    postgres_apart: Postgres, tmp_path: Path
) -> None:
    async with closing(await open_catalog(location(postgres_apart, tmp_path), tmp_path)) as store:
        await store.upsert(items("a"), 1)
        await asyncio.to_thread(postgres_apart.stop)
        with pytest.raises(StoreUnavailable, match=r"postgresql://127\.0\.0\.1:\d+/postgres\?schema=") as raised:
            await store.get(["a"])
        assert not _mentions_secret(raised.value)
        with pytest.raises(StoreUnavailable):
            await store.check()
        await asyncio.to_thread(postgres_apart.start)
        assert [each.item.item_id for each in await store.get(["a"])] == ["a"]
        await store.check()


async def test_a_frozen_server_is_given_up_within_the_timeout(postgres_apart: Postgres, tmp_path: Path) -> None:
    where = location(postgres_apart, tmp_path, timeout=0.5, pool=2)
    async with (
        closing(await open_catalog(where, tmp_path)) as store,
        closing(await open_leases(where, tmp_path)) as leases,
    ):
        await store.upsert(items("a"), 1)
        fence = await leases.acquire("consumer", "here")
        postgres_apart.pause()
        started = time.monotonic()
        answers = await asyncio.gather(
            *(store.get(["a"]) for _ in range(4)), store.upsert(items("b"), 1), return_exceptions=True
        )
        assert [type(each) for each in answers] == [StoreUnavailable] * 5
        assert all("0.5 s" in str(each) for each in answers)
        # Whoever cannot ask does not hold: the lease is given up with its connection.
        assert not await leases.holds("consumer", fence)
        # 0.5 s each for a connection and for an answer, several times over; without a limit it would be for ever.
        assert time.monotonic() - started < 20
        postgres_apart.resume()
        await until(lambda: _answers(store))
        assert await store.resolve(["a", "c"], 1) in ([0, 1], [0, 2])
        assert await leases.acquire("consumer", "here") == fence + 1


async def _answers(store: PostgresCatalog) -> bool:
    try:
        await store.check()
    except StoreUnavailable:
        return False
    return True


async def test_a_server_that_takes_no_writes_says_so_and_takes_them_again(postgres: Postgres, tmp_path: Path) -> None:
    role = f"reader_{os.getpid()}"
    await run_as_admin(
        postgres, f"CREATE ROLE {role} LOGIN PASSWORD 'x'", f"GRANT CREATE ON DATABASE postgres TO {role}"
    )
    url = postgres.url_of(role, "x") + "?schema=read_only_test"
    async with closing(await open_catalog(url.removeprefix("postgresql:"), tmp_path)) as store:
        await store.upsert(items("a"), 1)
        cut_off = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'"
        await run_as_admin(postgres, f"ALTER ROLE {role} SET default_transaction_read_only = on", cut_off)
        with suppress(StoreUnavailable):
            # It may meet the connection that was cut off.
            await store.check()
        with pytest.raises(StoreUnavailable, match="primary"):
            await store.upsert(items("b"), 1)
        assert len(await store.changes_since(0, 10)) == 1
        await run_as_admin(postgres, f"ALTER ROLE {role} RESET default_transaction_read_only")
        # A refused write has every connection made anew.
        with pytest.raises(StoreUnavailable, match="primary"):
            await store.upsert(items("b"), 1)
        assert await store.upsert(items("b"), 1) == [1]


@pytest.fixture
def small_space(postgres_apart: Postgres) -> Iterator[Path]:
    """A file system of 4 MiB where the server may keep tables."""
    folder = postgres_apart.data / "small"
    folder.mkdir()
    owner = postgres_apart.data.stat()
    options = f"size=4m,uid={owner.st_uid},gid={owner.st_gid},mode=700"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


async def test_a_full_disk_is_said_to_be_full_claims_nothing_and_passes(
    postgres_apart: Postgres, small_space: Path, tmp_path: Path
) -> None:
    where = location(postgres_apart, tmp_path)
    async with closing(await open_interactions(where, tmp_path)) as store:
        await run_as_admin(
            postgres_apart,
            f"CREATE TABLESPACE small LOCATION '{small_space}'",
            f"ALTER TABLE {where.partition('schema=')[2]}.interactions SET TABLESPACE small",
        )
        rows = [row(f"user {n % 7}", n, "view", n) for n in range(30_000)]
        await store.add(rows[:10], START)
        ballast = small_space / "ballast"
        ballast.write_bytes(b"x" * (3 << 20))
        for adding in (store.add_columns(columns(rows)), store.add(rows[:10_000] * 3, START)):
            with pytest.raises(StoreFull, match="room"):
                await adding
        assert (await store.counts())[0] == 10
        ballast.unlink()
        await run_as_admin(postgres_apart, f"VACUUM {where.partition('schema=')[2]}.interactions")
        assert await store.add(rows[:1_000], START) == 990
        assert (await store.counts())[0] == 1_000


async def test_a_killed_owner_frees_its_lease(
    postgres: Postgres, tmp_path: Path, start: Callable[..., "subprocess.Popen[str]"]
) -> None:
    where = location(postgres, tmp_path)
    owner = start("hold-lease", where, "first")
    first = int(owner.stdout.readline())
    async with closing(await open_leases(where, tmp_path)) as leases:
        assert await leases.holder("consumer") == "first"
        assert await leases.acquire("consumer", "here") is None
        standby = start("hold-lease", where, "standby")
        owner.kill()
        second = int(await asyncio.to_thread(standby.stdout.readline))
        assert second == first + 1
        assert await leases.holder("consumer") == "standby"
        assert not await leases.holds("consumer", first)


async def test_a_restarted_server_has_freed_its_leases_and_fences_their_holders(
    postgres_apart: Postgres, tmp_path: Path
) -> None:
    where = location(postgres_apart, tmp_path)
    async with closing(await open_leases(where, tmp_path)) as one, closing(await open_leases(where, tmp_path)) as two:
        first = await one.acquire("consumer", "one")
        assert await one.acquire("trainer", "one") == 1
        postgres_apart.kill()
        assert not await one.holds("consumer", first)
        await one.release("consumer", first)
        with pytest.raises(StoreUnavailable):
            await one.acquire("consumer", "one")
        await asyncio.to_thread(postgres_apart.start)
        second = await two.acquire("consumer", "two")
        assert second == first + 1
        assert not await one.holds("trainer", 1)
        assert await one.acquire("consumer", "one") is None
        assert await one.holder("consumer") == "two"
        assert await one.holder("trainer") is None


async def test_stores_of_one_url_share_a_pool_that_closes_with_the_last(postgres: Postgres, tmp_path: Path) -> None:
    where = location(postgres, tmp_path, pool=3)
    schema = where.partition("schema=")[2].partition("&")[0]
    stores = [await open_catalog(where, tmp_path), await open_traces(where, tmp_path)]
    await asyncio.gather(*(store.check() for store in stores * 20))
    admin = await asyncpg.connect(postgres.url)

    async def connections() -> int:
        # `search_path` is all that tells the connections of one schema from others' here.
        return int(await admin.fetchval("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'kindred'"))

    assert 1 <= await connections() <= 3
    assert stores[0]._database is stores[1]._database
    assert schema in str(stores[0]._database.address)
    await stores[0].close()
    await stores[0].close()
    await stores[1].put([("rec_a", 1, b"one")])
    with pytest.raises(StoreUnavailable, match="closed"):
        await stores[0].check()
    await stores[1].close()

    async def gone() -> bool:
        return await connections() == 0

    await until(gone)
    await admin.close()


async def test_overlapping_bulk_and_single_writes_lose_nothing(postgres: Postgres, tmp_path: Path) -> None:
    where = location(postgres, tmp_path)
    rows = [row(f"user {n % 97}", n % 101, "view", n) for n in range(6_000)]
    async with closing(await open_interactions(where, tmp_path)) as store:
        store: PostgresInteractions
        calls = [store.add_columns(columns(rows[start : start + 3_000])) for start in (0, 1_500, 3_000)]
        calls += [store.add(rows[start : start + 200][::-1], START) for start in range(0, 6_000, 100)]
        assert sum(await asyncio.gather(*calls)) == 6_000
        users = Counter(each.user_id for each in rows)
        assert await store.counts() == (6_000, 97, 101)
        assert len(await store.by_user("user 5", 1_000)) == users["user 5"]
