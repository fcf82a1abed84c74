"""Which dynamic settings a broker, or all brokers, may be given (kafka.server.DynamicBrokerConfig; KIP-226)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from broker.config import BROKER_KEY, BadValue, KafkaConfig, Update, advertised_error
from broker.wire.errors import ErrorCode, KafkaError

THREADS = (
    "num.io.threads",
    "num.network.threads",
    "background.threads",
    "num.replica.fetchers",
    "num.recovery.threads.per.data.dir",
    "log.cleaner.threads",
)


def check_broker_settings(config: KafkaConfig, settings: Mapping[str, str], *, per_broker: bool) -> None:
    """Raises KafkaError INVALID_REQUEST with Kafka 3.9's words. Names that nobody knows are plug-ins' and pass."""
    known = {name: BROKER_KEY[name] for name in settings if name in BROKER_KEY}
    read_only = [name for name, key in known.items() if key.update is Update.READ_ONLY]
    if read_only:
        raise _refused(f"Cannot update these configs dynamically: {_set(read_only)}")
    secrets = [name for name, key in known.items() if key.sensitive]
    if secrets:  # Kafka encrypts them with password.encoder.secret; here none ever enter ZooKeeper
        raise _refused(
            f"Cannot update these passwords dynamically, write them into the broker's own file: {_set(secrets)}"
        )
    values = {}
    for name, key in known.items():
        try:
            values[name] = key.parse(settings[name])
        except BadValue as error:
            raise _refused(str(error)) from error
    only_per_broker = [name for name, key in known.items() if key.update is Update.PER_BROKER]
    if only_per_broker and not per_broker:
        listed = _set(only_per_broker)
        raise _refused(f"Cannot update these configs at default cluster level, broker id must be specified: {listed}")
    _check_values(config, values)


def _check_values(config: KafkaConfig, values: Mapping[str, Any]) -> None:
    advertised = values.get("advertised.listeners")
    if advertised is not None and (complaint := advertised_error(config, advertised)):
        raise _refused(complaint)

    def wanted(name: str) -> Any:
        return values.get(name, getattr(config, BROKER_KEY[name].attribute))

    memory, threads = wanted("log.cleaner.dedupe.buffer.size"), wanted("log.cleaner.threads")
    if threads and memory // threads <= 1 << 20:
        least = "log.cleaner.dedupe.buffer.size must be at least 1MB per cleaner thread."
        raise _refused(f"requirement failed: {least}")
    for name in THREADS:
        if name in values:
            _check_threads(name, values[name], getattr(config, BROKER_KEY[name].attribute))


def _check_threads(name: str, value: int, now: int) -> None:
    """A pool is at most halved or doubled at a time (DynamicThreadPool, LogCleaner), in the words of Kafka's tools."""
    if name == "log.cleaner.threads":
        prefix = "Log cleaner threads"
        less, more = "cannot be reduced to less than", "cannot be increased to more than"
    else:
        prefix = f"Dynamic thread count update validation failed for {name}={value}, value"
        less, more = "should be at least", "should not be greater than"
    said = None
    if value <= 0:
        said = f"{prefix} should be at least 1"
    elif value < now // 2:
        said = f"{prefix} {less} half the current value {now}"
    elif value > now * 2:
        said = f"{prefix} {more} double the current value {now}"
    if said is not None:
        exception = f"org.apache.kafka.common.config.ConfigException: {said}"
        raise _refused(f"Invalid value {exception} for configuration Invalid dynamic configuration")


def _refused(message: str) -> KafkaError:
    return KafkaError(ErrorCode.INVALID_REQUEST, message)


def _set(names: Iterable[str]) -> str:
    """As Scala writes a set."""
    return f"Set({', '.join(names)})"
