"""What a Kafka URL says, and what is said of one that says too much or too little."""

import pytest

from kindred.adapters.kafka.address import parse_address
from kindred.adapters.kafka.topics import Topics
from kindred.core.errors import ConfigError


def test_a_url_says_how_brokers_are_spoken_to() -> None:
    address = parse_address(
        "//ada:a%20%23b@k1,k2:9093/events?security=sasl_ssl&mechanism=PLAIN&ca=/ca.pem&ssl.key.password=hush&partitions=8"
    )
    client = address.client()
    assert client["bootstrap.servers"] == "k1:9092,k2:9093"
    assert (client["sasl.username"], client["sasl.password"], client["sasl.mechanism"]) == ("ada", "a #b", "PLAIN")
    assert (client["security.protocol"], client["ssl.ca.location"]) == ("sasl_ssl", "/ca.pem")
    assert client["ssl.key.password"] == "hush"
    assert address.options.partitions == 8
    assert f"{address} {address!r}" == "kafka://k1:9092,k2:9093/events Address(kafka://k1:9092,k2:9093/events)"


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("//k/events?security=tls", "security"),
        ("//k/events?linger.ms=0", "linger.ms"),
        ("//ada:hush@k/events", "a user needs"),
        ("//k/events?min_insync=2", "min_insync"),
        ("//k", "kafka://host:port"),
        ("//k/ev ents", "'ev ents'"),
        ("//ada:pa/hush@k/events", "%-encoded"),
        ("//ada:12/hush@k/events", "%-encoded"),
        ("//ada:pa#hush@k/events", "%-encoded"),
        ("//ada:[hush@k/events", "%-encoded"),
    ],
)
def test_what_cannot_be_is_named(location: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        parse_address(location)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("security=ssl&ca=/nowhere", "ssl.ca.location"),
        ("security=ssl&ssl.key.location=/nowhere&ssl.key.password=hush", "ssl.key.location"),
        ("ssl.nonsense=hush", "ssl.nonsense"),
        ("security=sasl_ssl&sasl.mechanism=SCRAM-SHA-512", "sasl.username"),
    ],
)
def test_what_the_client_refuses_is_named_before_anything_is_sent(query: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        Topics(parse_address(f"//127.0.0.1:1/events?{query}"))
    assert "hush" not in str(caught.value)
