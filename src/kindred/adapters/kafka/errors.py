"""Kafka's errors in Kindred's words."""

from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import KafkaError, KafkaException

from kindred.core.errors import KindredError, StoreFull, StoreUnavailable

RETRY_AFTER = 2
_ADVICE = {
    KafkaError._ALL_BROKERS_DOWN: "no broker answers; see that they run and can be reached",
    KafkaError._TRANSPORT: "the connection broke; see that the brokers run and can be reached",
    KafkaError._TIMED_OUT: "no answer in time; see that the brokers run and are not overloaded",
    KafkaError._TIMED_OUT_QUEUE: "no answer in time; see that the brokers run and are not overloaded",
    KafkaError._MSG_TIMED_OUT: "not acknowledged in time; it may be written, and its event id makes it one event",
    KafkaError.DUPLICATE_SEQUENCE_NUMBER: "no place is known; it may be written, and its event id makes it one event",
    KafkaError._RESOLVE: "a broker's host name is unknown; see the URL and the brokers' advertised listeners",
    KafkaError._AUTHENTICATION: "the user or the password is refused",
    KafkaError.SASL_AUTHENTICATION_FAILED: "the user or the password is refused",
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "the user may not use this topic",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "the user may not use this group",
    KafkaError.UNKNOWN_TOPIC_OR_PART: "the topic is gone",
    KafkaError._UNKNOWN_TOPIC: "the topic is gone",
    KafkaError._UNKNOWN_PARTITION: "the partition is gone",
    KafkaError.NOT_ENOUGH_REPLICAS: "too few replicas are in sync (min.insync.replicas)",
    KafkaError.INVALID_REPLICATION_FACTOR: "there are fewer brokers than ?replication asks for",
}
_NO_ROOM = {KafkaError.KAFKA_STORAGE_ERROR}


def translated(store: object, error: KafkaError | BaseException) -> KindredError:
    """Return the StoreUnavailable or StoreFull that says what an error of the client means for `store`."""
    cause = error.args[0] if isinstance(error, KafkaException) and error.args else error
    if not isinstance(cause, KafkaError):
        return StoreUnavailable(f"{store}: {cause}", RETRY_AFTER)
    if cause.code() in _NO_ROOM:
        return StoreFull(f"{store}: a broker's disk refuses writes ({cause.str()}); see its room", RETRY_AFTER)
    return StoreUnavailable(f"{store}: {_ADVICE.get(cause.code()) or cause.str()} [{cause.name()}]", RETRY_AFTER)


def code_of(error: BaseException) -> int | None:
    """Return librdkafka's code of an exception, None where it is not one of Kafka."""
    cause = error.args[0] if isinstance(error, KafkaException) and error.args else None
    return int(cause.code()) if isinstance(cause, KafkaError) else None


@contextmanager
def translating(store: object) -> Iterator[None]:
    """Turn what the client raises inside the block into StoreUnavailable or StoreFull."""
    try:
        yield
    except (KafkaException, TimeoutError) as error:
        raise translated(store, error) from error
