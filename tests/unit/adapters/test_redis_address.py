"""What the URL of a Redis store says, and how positions stand in its records."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindred.adapters.redis.address import Address, parse
from kindred.adapters.redis.records import pack, record_of, watermark_of
from kindred.core.errors import ConfigError, InvalidInput
from kindred.core.position import Position
from kindred.ports.state import StateRecord

positions = st.builds(Position, st.integers(0, 2**62), st.integers(0, 2**62), st.integers(-1, 2**62))


def test_a_url_says_where_and_how() -> None:
    found = parse("//app:s%2Fe%40t@cache.internal:6380/3?prefix=shop&tls=yes&timeout=0.5")
    assert found == Address(
        host="cache.internal", port=6380, db=3, username="app", password="s/e@t", prefix="shop", tls=True, timeout=0.5,
        options={"tls": "yes"},
    )  # fmt: skip
    assert found.name("s", "key") == b"shop:s:key"
    assert parse("//127.0.0.1") == Address(host="127.0.0.1")
    assert parse("//[::1]:6380").host == "::1"


def test_an_address_is_told_without_its_credentials() -> None:
    for text in (str, repr):
        assert "secret" not in text(parse("//user:secret@host/1"))


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("", "redis://"),
        ("host:6379", "redis://"),
        ("//:secret@host/first", "redis://"),
        ("//:secret@host:port/0", "redis://"),
        ("//:secret/x@host:6379/0", "redis://"),
        ("//:secret@host:6379/0#secret", "redis://"),
        ("//:secret@host/0?evict=yes", "unknown option 'evict'; there are durable, prefix, timeout, tls"),
        ("//:secret@host/0?prefix=a:b", "prefix"),
        ("//:secret@host/0?timeout=soon", "timeout is a number from 0.01 to 600, not 'soon'"),
        ("//:secret@host/0?timeout=0", "timeout is a number"),
        ("//:secret@host/0?tls=perhaps", "tls is yes or no, not 'perhaps'"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_and_not_repeated(location: str, message: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        parse(location, {"durable": "a state's own"})
    assert message in str(refusal.value)
    assert "secret" not in str(refusal.value)
    assert refusal.value.__cause__ is None


@given(positions, positions, st.binary(min_size=1))
def test_the_order_of_bytes_is_the_order_of_positions(one: Position, two: Position, value: bytes) -> None:
    assert (pack(one) < pack(two)) == (one < two)
    assert record_of(pack(one) + value) == StateRecord(one, value)
    assert watermark_of(pack(two), two.partition) == two


@pytest.mark.parametrize("position", [Position(-1, 0, 0), Position(0, 0, -2), Position(0, 0, 2**64)])
def test_a_position_that_has_no_place_is_refused(position: Position) -> None:
    with pytest.raises(InvalidInput, match="position"):
        pack(position)
