"""What one setting is: name, type, default, allowed values, how it may change (ConfigDef, DynamicBrokerConfig)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any

MAX_INT = 2**31 - 1
MAX_LONG = 2**63 - 1
MAX_DOUBLE = 1.7976931348623157e308


class Kind(IntEnum):
    """A setting's type, with the codes of DescribeConfigs (KIP-569)."""

    UNKNOWN = 0
    BOOLEAN = 1
    STRING = 2
    INT = 3
    SHORT = 4
    LONG = 5
    DOUBLE = 6
    LIST = 7
    CLASS = 8
    PASSWORD = 9


class Update(Enum):
    """Where a setting may be changed while the broker runs (KIP-226)."""

    READ_ONLY = "read-only"
    PER_BROKER = "per-broker"
    CLUSTER_WIDE = "cluster-wide"


@dataclass(frozen=True, slots=True)
class Check:
    """Which values are allowed; ``allowed`` completes the sentence "allowed: ...".

    ``complaint``: what Kafka says of a value that is not (the validators of ConfigDef). ``of_list``: of a list it is
    the whole that is not allowed, and not one entry.
    """

    allowed: str
    accepts: Callable[[Any], bool]
    complaint: Callable[[Any], str] | None = None
    of_list: bool = False


def anything() -> Check:
    return Check("any value", lambda value: True)


def at_least(low: float) -> Check:
    return Check(f"{low} or more", lambda value: value >= low, lambda value: f"Value must be at least {low}")


def between(low: float, high: float) -> Check:
    def complaint(value: Any) -> str:
        return f"Value must be at least {low}" if value < low else f"Value must be no more than {high}"

    return Check(f"{low} to {high}", lambda value: low <= value <= high, complaint)


def between_or(low: int, high: int, default: int) -> Check:
    """For levels of gzip: ``default`` leaves the choice to the codec."""
    return Check(
        f"{low} to {high}, or {default}",
        lambda value: value == default or low <= value <= high,
        lambda value: f"Value must be between {low} and {high} or equal to {default}",
    )


def one_of(*names: str) -> Check:
    listed = ", ".join(names)
    return Check(listed, lambda value: value in names, lambda value: f"String must be one of: {listed}")


def each_of(*names: str) -> Check:
    """For lists: every entry is one of ``names``; there may be none (ConfigDef.ValidList)."""
    listed = ", ".join(names)
    return Check(
        f"a list of {listed}",
        lambda value: all(entry in names for entry in value),
        lambda value: f"String must be one of: {listed}",
    )


def throttled_replicas(name: str) -> Check:
    """ThrottledReplicaListValidator, for the setting ``name``."""
    form = "the literal '*' or a list of replicas in the following format: [partitionId]:[brokerId]"
    return Check(
        "* or partition:broker, ...",
        lambda value: value == ("*",) or all(re.fullmatch("([0-9]+:[0-9]+)?", entry) for entry in value),
        lambda value: f"{name} must be {form},[partitionId]:[brokerId],...",
        of_list=True,
    )


def kafka_version() -> Check:
    """MetadataVersionValidator, as far as ZooKeeper mode goes."""
    form = r"(0\.(8\.[0-2]|9\.0|10\.[0-2]|11\.0)|1\.[01]|2\.[0-8]|3\.[0-9])(-IV[0-9]+|\..*)?"
    return Check(
        "a version of Kafka up to 3.9",
        lambda value: re.fullmatch(form, value) is not None,
        lambda value: f"Version {value} is not a valid version",
    )


def not_empty() -> Check:
    return Check("a value that is not empty", bool)


@dataclass(frozen=True, slots=True)
class Synonym:
    """A broker setting from which a topic setting takes its default, in units of ``factor`` of the topic's own unit."""

    name: str
    factor: int = 1


@dataclass(frozen=True, slots=True)
class Key:
    """One setting. ``default`` None: not set. ``effect`` False: accepted, so that Kafka's files work, and nothing more.

    ``synonyms`` is for topic settings only, strongest first.
    """

    name: str
    kind: Kind
    default: Any
    check: Check
    doc: str
    update: Update = Update.READ_ONLY
    effect: bool = True
    synonyms: tuple[Synonym, ...] = ()

    @property
    def attribute(self) -> str:
        """The name as an attribute of KafkaConfig or LogConfig."""
        return self.name.replace(".", "_")

    @property
    def documentation(self) -> str:
        """What DescribeConfigs shows, with a word about settings that do nothing here."""
        return self.doc if self.effect else f"{self.doc} (Accepted, without effect in this broker.)"

    @property
    def sensitive(self) -> bool:
        """What nobody knows may be a plug-in's password."""
        return self.kind in (Kind.PASSWORD, Kind.UNKNOWN)

    def parse(self, text: str) -> Any:
        """The typed value of ``text``. Raises :class:`BadValue` with what is allowed."""
        value = PARSERS[self.kind](self, text.strip())
        if not self.check.accepts(value):
            complaint = self.check.complaint and self.check.complaint(value)
            raise BadValue(self.name, self._culprit(text, value), self.check.allowed, complaint)
        return value

    def _culprit(self, text: str, value: Any) -> str:
        """As Kafka shows a value that is not allowed: typed, and of a list the first entry that is not."""
        if isinstance(value, tuple):
            if self.check.of_list:
                return f"[{', '.join(value)}]"
            return next((entry for entry in value if not self.check.accepts((entry,))), text)
        return str(value) if self.kind is Kind.DOUBLE else text

    def format(self, value: Any) -> str | None:
        """The text of a typed value, as DescribeConfigs shows it; None where it is not set."""
        if value is None:
            return None
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, tuple):
            return ",".join(value)
        return _java_double(value) if isinstance(value, float) else str(value)


class BadValue(ValueError):
    """A value that its setting does not allow, in Kafka's words (ConfigException) where it has some."""

    def __init__(self, name: str, value: str, allowed: str, complaint: str | None = None) -> None:
        super().__init__(f"Invalid value {value} for configuration {name}: {complaint or f'allowed: {allowed}'}")
        self.name = name
        self.value = value
        self.allowed = allowed


def _not_a(key: Key) -> str:
    return f"Not a number of type {key.kind.name}"


_RANGES = {Kind.SHORT: 2**15 - 1, Kind.INT: MAX_INT, Kind.LONG: MAX_LONG}


def _boolean(key: Key, text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise BadValue(key.name, text, "true or false", "Expected value to be either true or false")
    return text.lower() == "true"


def _integer(key: Key, text: str) -> int:
    high = _RANGES[key.kind]
    try:
        value = int(text)
    except ValueError:
        raise BadValue(key.name, text, f"a whole number, {key.check.allowed}", _not_a(key)) from None
    if not -high - 1 <= value <= high:
        raise BadValue(key.name, text, f"a whole number up to {high} ({key.kind.name.lower()})", _not_a(key))
    return value


def _double(key: Key, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise BadValue(key.name, text, f"a number, {key.check.allowed}", _not_a(key)) from None


def _text(key: Key, text: str) -> str:
    return text


def _list(key: Key, text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",")) if text else ()


def _java_double(value: float) -> str:
    """As Double.toString writes it."""
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return str(value)
    sign, digits, exponent = Decimal(str(value)).normalize().as_tuple()
    first, *rest = digits
    return f"{'-' * sign}{first}.{''.join(map(str, rest)) or 0}E{len(rest) + int(exponent)}"


PARSERS: dict[Kind, Callable[[Key, str], Any]] = {
    Kind.BOOLEAN: _boolean,
    Kind.STRING: _text,
    Kind.INT: _integer,
    Kind.SHORT: _integer,
    Kind.LONG: _integer,
    Kind.DOUBLE: _double,
    Kind.LIST: _list,
    Kind.CLASS: _text,
    Kind.PASSWORD: _text,
}
