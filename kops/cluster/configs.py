"""Settings of topics and brokers: what holds, where it comes from, and changing it (ConfigCommand, by admin API).

An entity is a topic by name, a broker by id, or all brokers together (``DEFAULT``), whose settings each may override.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kops.cluster.metadata import snapshot, topics_of, wait_until
from kops.errors import BadUsage, Failed, KopsError, NotAuthorised, NotFound, not_found
from kops.session import Session

TOPIC, BROKER = "topic", "broker"
DEFAULT = "default"
_KINDS = {TOPIC: 2, BROKER: 4}
_SOURCES = {1: "topic", 2: "broker", 3: "all brokers", 4: "file", 5: "default", 6: "logger"}
_SET, _DELETE = 0, 1


@dataclass(frozen=True, slots=True)
class Entity:
    """``kind`` topic or broker; ``name``: the topic, the broker's id, or ``default``."""

    kind: str
    name: str

    def __str__(self) -> str:
        return "all brokers" if self == Entity(BROKER, DEFAULT) else f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Setting:
    """``source``: topic, broker, all brokers, file (server.properties) or default. ``synonyms``: what would hold else,
    as (source, name, value), in the order in which they count."""

    entity: Entity
    name: str
    value: str | None
    source: str
    read_only: bool
    sensitive: bool
    synonyms: tuple[tuple[str, str, str | None], ...] = field(default_factory=tuple)

    @property
    def shown(self) -> str:
        """The value as it may be shown: passwords are not told by brokers."""
        return "(hidden)" if self.sensitive else "" if self.value is None else self.value

    @property
    def overridden(self) -> bool:
        """Whether it was set on this entity."""
        return self.source == ("all brokers" if self.entity.name == DEFAULT else self.entity.kind)


def checked(session: Session, kind: str, names: Sequence[str]) -> list[Entity]:
    """Entities that are there; every one of the kind when none is named. Raises NotFound, BadUsage."""
    kind = {"topics": TOPIC, "brokers": BROKER}.get(kind, kind)
    if kind not in _KINDS:
        raise BadUsage(f"'{kind}' has no settings here", "topic NAME, broker ID, or broker default.")
    if kind == TOPIC:
        found = topics_of(session, names)[1] if names else snapshot(session).topics
        return [Entity(TOPIC, topic.name) for topic in found]
    known = [str(broker.id) for broker in snapshot(session, []).brokers]
    for name in names:
        if name not in (*known, DEFAULT, ""):
            raise not_found("broker", name, known, f"Registered: {', '.join(known)}; or `default` for all of them.")
    return [Entity(BROKER, name or DEFAULT) for name in (names or known)]


def describe(session: Session, entity: Entity) -> list[Setting]:
    """Every setting that holds for the entity, by name. Raises KopsError for what the broker refuses."""
    from kafka.protocol.admin import DescribeConfigsRequest as Request

    resource = Request.DescribeConfigsResource(
        resource_type=_KINDS[entity.kind], resource_name=_name(entity), configuration_keys=None
    )
    answer = session.send(
        Request(resources=[resource], include_synonyms=True, include_documentation=False), _where(entity)
    )
    (result,) = answer.results
    if result.error_code:
        raise _error(entity, result.error_code, result.error_message)
    return sorted((_setting(entity, one) for one in result.configs), key=lambda setting: setting.name)


def _setting(entity: Entity, one: Any) -> Setting:
    synonyms = tuple((_SOURCES.get(s.source, str(s.source)), s.name, s.value) for s in one.synonyms or ())
    source = _SOURCES.get(one.config_source, "default")
    return Setting(entity, one.name, one.value, source, one.read_only, one.is_sensitive, synonyms)


def alter(
    session: Session, entity: Entity, put: Mapping[str, str], drop: Sequence[str], *, validate_only: bool = False
) -> None:
    """Set and unset in one request (IncrementalAlterConfigs, KIP-339), and wait until it holds.

    Raises KopsError: unknown names and values are refused by the broker, with its own words.
    """
    from kafka.protocol.admin import IncrementalAlterConfigsRequest as Request

    of_config = Request.AlterConfigsResource.AlterableConfig
    changes = [of_config(name=name, config_operation=_SET, value=value) for name, value in put.items()]
    changes += [of_config(name=name, config_operation=_DELETE, value=None) for name in drop]
    resource = Request.AlterConfigsResource(
        resource_type=_KINDS[entity.kind], resource_name=_name(entity), configs=changes
    )
    answer = session.send(Request(resources=[resource], validate_only=validate_only), _where(entity))
    (result,) = answer.responses
    if result.error_code:
        raise _error(entity, result.error_code, result.error_message)
    if not validate_only:
        wait_until(session, lambda: _differs(session, entity, put, drop), session.timeout)


def _differs(session: Session, entity: Entity, put: Mapping[str, str], drop: Sequence[str]) -> str | None:
    """A broker applies a change when ZooKeeper has told it: what is read back may be older for a moment."""
    now = {setting.name: setting for setting in describe(session, entity)}
    for name, value in put.items():
        if name in now and not now[name].sensitive and now[name].value != value:
            return f"{entity}: {name} is {now[name].value}, not {value}"
    for name in drop:
        if name in now and now[name].overridden:
            return f"{entity}: {name} is still set"
    return None


def _name(entity: Entity) -> str:
    return "" if entity == Entity(BROKER, DEFAULT) else entity.name


def _where(entity: Entity) -> int | None:
    """A broker's own settings are asked of itself."""
    return int(entity.name) if entity.kind == BROKER and entity.name != DEFAULT else None


def _error(entity: Entity, code: int, message: str | None) -> KopsError:
    from kafka.errors import AuthorizationError, for_code

    error = for_code(code)
    text = f"{entity}: {message or error.description}"
    if issubclass(error, AuthorizationError):
        return NotAuthorised(text, "Ask for the right, or use another context.", subject=entity.name)
    if code == 3:
        return NotFound(text, "`kops topic list` shows the topics there are.", subject=entity.name)
    advice = f"`kops config describe {entity.kind} {entity.name} --all` shows what there is."
    return Failed(text, advice, subject=entity.name, code=error.__name__)
