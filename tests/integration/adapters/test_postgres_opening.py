"""What opening a store in PostgreSQL makes, migrates and refuses; every refusal says what to run, and no password."""

import asyncio
import os
from pathlib import Path

import asyncpg
import pytest
from tests.engines.postgres import Postgres, schema_of
from tests.engines.running import free_port

from kindred.adapters.postgres import migration
from kindred.adapters.postgres.address import parse_address
from kindred.adapters.postgres.catalog import PostgresCatalog, open_catalog
from kindred.adapters.postgres.tokens import open_tokens
from kindred.core.errors import ConfigError, InvalidInput, StoreUnavailable
from kindred.core.item import Item
from kindred.testing.catalog_suite import items

SECRET = "s3cr3t/of#mine"


def test_an_address_shows_neither_user_nor_password() -> None:
    address = parse_address("//ada%40x:a%20%23b@[::1]:6543/db%20one?schema=shop&pool=3&timeout=2.5&sslmode=require")
    assert (address.user, address.password, address.host, address.port) == ("ada@x", "a #b", "::1", 6543)
    assert (address.database, address.schema, address.pool, address.timeout) == ("db one", "shop", 3, 2.5)
    assert str(address) == "postgresql://[::1]:6543/db one?schema=shop"
    assert "a #b" not in repr(address)
    assert parse_address("//ada:x@host/db").schema == "kindred"


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("", "names no host"),
        (f"//ada:{SECRET}@/db", "no host|%2F"),
        ("//:secret@host/db", "names no user"),
        ("//ada:secret@host", "names no database"),
        ("//ada:secret@host:port/db", "%40"),
        ("//ada:secret@host/db?scheme=x", "'scheme'; known are schema"),
        ("//ada:secret@host/db?schema=Kindred", "lower-case"),
        ("//ada:secret@host/db?schema=public", "of its own"),
        ("//ada:secret@host/db?schema=a\"; DROP", "lower-case"),
        ("//ada:secret@host/db?pool=0", "pool .* from 1"),
        ("//ada:secret@host/db?timeout=soon", "timeout .* not 'soon'"),
        ("//ada:secret@host/db?sslmode=maybe", "sslmode .* verify-full"),
    ],
)  # fmt: skip
def test_a_url_that_cannot_be_used_is_refused_without_its_password(location: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as raised:
        parse_address(location)
    assert "secret" not in str(raised.value)
    assert SECRET not in str(raised.value)


def of(url: str) -> str:
    return url.removeprefix("postgresql:")


async def admin(server: Postgres, *statements: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(server.url)
    try:
        return [row for statement in statements for row in await connection.fetch(statement)]
    finally:
        await connection.close()


@pytest.fixture
async def role(postgres: Postgres, request: pytest.FixtureRequest) -> str:
    """A user without any right, whose password is SECRET."""
    name = f"role_{os.getpid()}_{abs(hash(request.node.name)) % 10**6}"
    await admin(postgres, f"CREATE ROLE {name} LOGIN PASSWORD '{SECRET}'")
    return name


def url_of(server: Postgres, role: str, schema: str) -> str:
    secret = SECRET.replace("/", "%2F").replace("#", "%23")
    return f"//{role}:{secret}@127.0.0.1:{server.port}/postgres?schema={schema}"


async def refused(location: str, kind: type[Exception] = ConfigError) -> str:
    with pytest.raises(kind) as raised:
        await open_catalog(location, Path())
    assert SECRET not in str(raised.value)
    assert "wrong" not in str(raised.value)
    return str(raised.value)


async def test_a_user_without_rights_gets_the_statement_that_makes_the_schema(postgres: Postgres, role: str) -> None:
    schema = f"s_{role}"
    statement = f'CREATE SCHEMA "{schema}" AUTHORIZATION "{role}";'
    assert (await refused(url_of(postgres, role, schema))).endswith(statement)
    await admin(postgres, statement)
    store = await open_catalog(url_of(postgres, role, schema), Path())
    assert await store.upsert(items("a"), 1) == [0]
    await store.close()


async def test_a_schema_of_another_owner_gets_the_statement_that_gives_it(postgres: Postgres, role: str) -> None:
    schema = f"s_{role}"
    await admin(postgres, f"CREATE SCHEMA {schema}")
    statement = f'ALTER SCHEMA "{schema}" OWNER TO "{role}";'
    assert (await refused(url_of(postgres, role, schema))).endswith(statement)
    await admin(postgres, statement)
    await (await open_catalog(url_of(postgres, role, schema), Path())).close()


async def test_tables_of_another_owner_get_the_statement_that_opens_them(
    postgres: Postgres, role: str, tmp_path: Path
) -> None:
    await (await open_catalog(of(postgres.schema_url(tmp_path)), tmp_path)).close()
    location = url_of(postgres, role, schema_of(tmp_path))
    statement = (await refused(location)).partition("run: ")[2]
    assert statement.startswith("GRANT USAGE ON SCHEMA")
    await admin(postgres, *statement.split("; "))
    store = await open_catalog(location, tmp_path)
    assert await store.upsert(items("a"), 1) == [0]
    await admin(postgres, f"REVOKE INSERT ON {schema_of(tmp_path)}.items FROM {role}")
    with pytest.raises(StoreUnavailable, match=r"permission denied for table items; .*GRANT USAGE"):
        await store.upsert(items("b"), 1)
    await store.close()


async def test_a_wrong_password_user_or_database_is_a_setting_to_change(postgres: Postgres) -> None:
    assert "the password in the store's URL" in await refused(of(postgres.url_of("app", "wrong")))
    assert "see the user and the password" in await refused(of(postgres.url_of("nobody_here", "wrong")))
    absent = await refused(of(postgres.url.replace("/postgres", "/ab sent").replace(" ", "%20")))
    assert 'CREATE DATABASE "ab sent" OWNER "app" ENCODING' in absent


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    said = await refused(f"//app:wrong@127.0.0.1:{free_port()}/postgres", StoreUnavailable)
    assert "see that the server runs" in said


async def test_a_database_of_another_encoding_is_refused(postgres: Postgres) -> None:
    await admin(postgres, "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    said = await refused(of(postgres.url_of("app", "pw for:tests@", "latin")))
    assert "LATIN1" in said
    assert "ENCODING 'UTF8'" in said


async def test_tables_of_a_newer_release_are_refused(postgres: Postgres, tmp_path: Path) -> None:
    location = of(postgres.schema_url(tmp_path))
    await (await open_catalog(location, tmp_path)).close()
    await admin(postgres, f"INSERT INTO {schema_of(tmp_path)}.schema_version VALUES (999, 'x')")
    said = await refused(location)
    assert f"version 999 and this release knows up to {len(migration.migrations())}" in said


async def test_missing_migrations_are_applied_once_in_order_and_whole(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    location = of(postgres.schema_url(tmp_path))
    versions = f"SELECT version, name FROM {schema_of(tmp_path)}.schema_version ORDER BY version"
    store = await open_catalog(location, tmp_path)
    await store.upsert(items("a"), 1)
    await store.close()
    first = migration.migrations()
    assert [number for number, _, _ in first] == list(range(1, len(first) + 1))
    made = [(number, name) for number, name, _ in first]
    assert [tuple(row) for row in await admin(postgres, versions)] == made
    number = len(first) + 1
    bad = (number + 1, "bad", "ALTER TABLE items ADD nonsense nonsense")
    good = (number, "good", "ALTER TABLE items ADD extra integer; CREATE TABLE more (n integer)")
    monkeypatch.setattr(migration, "migrations", lambda: [*first, good, bad])
    with pytest.raises(StoreUnavailable, match="nonsense"):
        await open_catalog(location, tmp_path)
    assert [tuple(row) for row in await admin(postgres, versions)] == made
    monkeypatch.setattr(migration, "migrations", lambda: [*first, good])
    # Pools of their own, as processes have.
    stores = await asyncio.gather(*(open_catalog(f"{location}&pool={n}", tmp_path) for n in range(1, 6)))
    assert [tuple(row) for row in await admin(postgres, versions)] == [*made, (number, "good")]
    assert await stores[0].upsert(items("a", "b"), 2) == [0, 1]
    for store in stores:
        await store.close()


async def test_durable_is_what_the_server_says(postgres: Postgres, role: str, tmp_path: Path) -> None:
    await admin(postgres, f"CREATE SCHEMA s_{role} AUTHORIZATION {role}")
    store = await open_tokens(url_of(postgres, role, f"s_{role}"), tmp_path)
    assert store.capabilities.durable
    await store.close()
    await admin(postgres, f"ALTER ROLE {role} SET synchronous_commit = off")
    store = await open_tokens(url_of(postgres, role, f"s_{role}"), tmp_path)
    assert not store.capabilities.durable
    await store.close()


async def test_tags_and_attributes_are_found_by_their_indexes(postgres: Postgres, tmp_path: Path) -> None:
    store = await open_catalog(of(postgres.schema_url(tmp_path)), tmp_path)
    many = [Item(item_id=f"{n}", tags=[f"t{n % 500}"], attributes={"year": 1000 + n % 700}) for n in range(7_000)]
    await store.upsert(many, 1)
    await store.close()
    table = f"{schema_of(tmp_path)}.items"
    await admin(postgres, f"ANALYZE {table}")
    for index, condition in (
        ("items_tags", "item -> 'tags' ? 't7'"),
        ("items_attributes", """item -> 'attributes' @> '{"year": 1007}'"""),
    ):
        plan = await admin(postgres, f"EXPLAIN SELECT count(*) FROM {table} WHERE {condition}")
        assert any(index in row[0] for row in plan)
    found = await admin(postgres, f"SELECT count(*) FROM {table} WHERE item -> 'tags' ? 't7'")
    assert found[0][0] == 14


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (Item(item_id="b", attributes={"x": object()}), "/items/'b'"),
        (Item(item_id="b", attributes={"x": ["\x00"]}), "U[+]0000"),
        (Item(item_id="b", attributes={"\x00": 1}), "U[+]0000"),
        (Item(item_id="b", title="\ud800"), "JSON"),
    ],
)
async def test_what_jsonb_cannot_keep_is_refused_whole(
    postgres: Postgres, tmp_path: Path, item: Item, said: str
) -> None:
    store: PostgresCatalog = await open_catalog(of(postgres.schema_url(tmp_path)), tmp_path)
    with pytest.raises(InvalidInput, match=said):
        await store.upsert([*items("a"), item], 1)
    assert await store.changes_since(0, 10) == []
    # Written with a backslash it is no zero byte.
    fine = Item(item_id="c", attributes={"x": "\\u0000", "numbers": [2**63, -0.5, 1e20]})
    await store.upsert([fine], 1)
    assert [each and each.item for each in await store.get(["c"])] == [fine]
    await store.close()


async def test_ordinals_end_at_the_largest_int32(postgres: Postgres, tmp_path: Path) -> None:
    store = await open_catalog(of(postgres.schema_url(tmp_path)), tmp_path)
    await store.upsert(items("a"), 1)
    await admin(postgres, f"UPDATE {schema_of(tmp_path)}.items SET ordinal = 2147483646")
    assert await store.resolve(["b"], 1) == [2**31 - 1]
    with pytest.raises(StoreUnavailable, match="ordinals"):
        await store.upsert(items("c"), 1)
    assert await store.upsert(items("a", "b"), 2) == [2**31 - 2, 2**31 - 1]
    await store.close()
