"""DescribeClientQuotas, API 48 (org.apache.kafka.common.message.DescribeClientQuotasRequestData)."""

from __future__ import annotations

from broker.wire.keys import ApiKey
from broker.wire.schema import BOOL, FLOAT64, INT8, INT16, INT32, STRING, array, f, message, struct


@struct
class ComponentData:
    entity_type: str = f(STRING, "0+")
    match_type: int = f(INT8, "0+")
    match: str | None = f(STRING, "0+", nullable="0+")


@message(key=ApiKey.DESCRIBE_CLIENT_QUOTAS, versions="0-1", flexible="1+")
class DescribeClientQuotasRequest:
    components: list[ComponentData] = f(array(ComponentData), "0+")
    strict: bool = f(BOOL, "0+")


@struct
class EntityData:
    entity_type: str = f(STRING, "0+")
    entity_name: str | None = f(STRING, "0+", nullable="0+")


@struct
class ValueData:
    key: str = f(STRING, "0+")
    value: float = f(FLOAT64, "0+")


@struct
class EntryData:
    entity: list[EntityData] = f(array(EntityData), "0+")
    values: list[ValueData] = f(array(ValueData), "0+")


@message(key=ApiKey.DESCRIBE_CLIENT_QUOTAS, versions="0-1", flexible="1+")
class DescribeClientQuotasResponse:
    throttle_time_ms: int = f(INT32, "0+")
    error_code: int = f(INT16, "0+")
    error_message: str | None = f(STRING, "0+", nullable="0+")
    entries: list[EntryData] | None = f(array(EntryData), "0+", nullable="0+")
