"""The rules between broker settings (KafkaConfig.validateValues): listeners first of all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from broker.config.endpoints import SERVED_PROTOCOLS, BadEndPoints, EndPoint, parse_listeners, parse_protocol_map
from broker.config.properties import Problem

if TYPE_CHECKING:
    from broker.config.kafka_config import KafkaConfig

EVERY_ADDRESS = ("0.0.0.0", "::")


def check_together(config: KafkaConfig, lines: Mapping[str, int | None]) -> list[Problem]:
    """What is wrong with settings that are each allowed; ``lines`` says where each stands."""
    problems: list[Problem] = []

    def wrong(name: str, text: object, allowed: str) -> None:
        problems.append(Problem(lines.get(name), name, str(text), allowed))

    _check_listeners(config, wrong)
    if config.broker_id > config.reserved_broker_max_id and config.broker_id_generation_enable:
        wrong("broker.id", config.broker_id, f"up to reserved.broker.max.id={config.reserved_broker_max_id}")
    if config.broker_id < 0 and not config.broker_id_generation_enable:
        wrong("broker.id", config.broker_id, "0 or more while broker.id.generation.enable=false")
    if config.replica_fetch_wait_max_ms > config.replica_socket_timeout_ms:
        wrong("replica.fetch.wait.max.ms", config.replica_fetch_wait_max_ms, "up to replica.socket.timeout.ms")
    if config.replica_fetch_wait_max_ms > config.replica_lag_time_max_ms:
        wrong("replica.lag.time.max.ms", config.replica_lag_time_max_ms, "replica.fetch.wait.max.ms or more")
    if 0 < config.queued_max_request_bytes < config.socket_request_max_bytes:
        wrong(
            "queued.max.request.bytes",
            config.queued_max_request_bytes,
            "0 or less, or socket.request.max.bytes or more",
        )
    if config.group_max_session_timeout_ms < config.group_min_session_timeout_ms:
        wrong("group.max.session.timeout.ms", config.group_max_session_timeout_ms, "the minimum or more")
    return problems


def _check_listeners(config: KafkaConfig, wrong: Callable[[str, object, str], None]) -> None:
    try:
        bound = config.endpoints()
    except BadEndPoints as error:
        wrong(_at_fault(config, "listeners"), error.value, error.allowed)
        return
    try:
        advertised = config.advertised_endpoints()
    except BadEndPoints as error:
        wrong("advertised.listeners", error.value, error.allowed)
        return
    _check_served(bound, wrong)
    names = [endpoint.listener for endpoint in bound]
    for endpoint in advertised:
        if endpoint.listener not in names:
            wrong("advertised.listeners", endpoint, f"listeners that are bound: {', '.join(names)}")
        if endpoint.host in EVERY_ADDRESS and config.advertised_listeners is not None:
            wrong("advertised.listeners", endpoint, "a host that clients can reach, not every address")
    if config.inter_broker_listener() not in [endpoint.listener for endpoint in advertised]:
        wrong("inter.broker.listener.name", config.inter_broker_listener(), f"one of {', '.join(names)}")
    if "inter.broker.listener.name" in config.originals and "security.inter.broker.protocol" in config.originals:
        wrong("inter.broker.listener.name", config.inter_broker_listener_name, "this or security.inter.broker.protocol")


def advertised_error(config: KafkaConfig, text: str) -> str | None:
    """Why ``text`` cannot become advertised.listeners while the broker runs (DynamicListenerConfig); None: it can."""
    try:
        advertised = parse_listeners(text, parse_protocol_map(config.listener_security_protocol_map))
    except BadEndPoints as error:
        return f"Error creating broker listeners from '{text}': {error}"
    bound = [endpoint.listener for endpoint in config.endpoints()]
    if any(endpoint.listener not in bound for endpoint in advertised):
        return f"Advertised listeners '{text}' must be a subset of listeners '{config.listeners}'"
    if any(endpoint.host in EVERY_ADDRESS for endpoint in advertised):
        return "advertised.listeners cannot use the nonroutable meta-address 0.0.0.0. Use a routable IP address."
    within = config.inter_broker_listener()
    if within not in [endpoint.listener for endpoint in advertised]:
        return f"Advertised listener must be specified for inter-broker listener {within}"
    return None


def _check_served(endpoints: tuple[EndPoint, ...], wrong: Callable[[str, object, str], None]) -> None:
    if not endpoints:
        wrong("listeners", "", "at least one listener")
    for endpoint in endpoints:
        if endpoint.protocol not in SERVED_PROTOCOLS:
            wrong("listeners", endpoint, f"listeners with protocol {', '.join(SERVED_PROTOCOLS)}, so far")


def _at_fault(config: KafkaConfig, otherwise: str) -> str:
    """The map itself may be what cannot be read."""
    try:
        parse_protocol_map(config.listener_security_protocol_map)
    except BadEndPoints:
        return "listener.security.protocol.map"
    return otherwise
