"""AlterClientQuotas, API 49 (org.apache.kafka.common.message.AlterClientQuotasRequestData)."""

from __future__ import annotations

from broker.wire.keys import ApiKey
from broker.wire.schema import BOOL, FLOAT64, INT16, INT32, STRING, array, f, message, struct


@struct
class RequestEntityData:
    entity_type: str = f(STRING, "0+")
    entity_name: str | None = f(STRING, "0+", nullable="0+")


@struct
class OpData:
    key: str = f(STRING, "0+")
    value: float = f(FLOAT64, "0+")
    remove: bool = f(BOOL, "0+")


@struct
class RequestEntryData:
    entity: list[RequestEntityData] = f(array(RequestEntityData), "0+")
    ops: list[OpData] = f(array(OpData), "0+")


@message(key=ApiKey.ALTER_CLIENT_QUOTAS, versions="0-1", flexible="1+")
class AlterClientQuotasRequest:
    entries: list[RequestEntryData] = f(array(RequestEntryData), "0+")
    validate_only: bool = f(BOOL, "0+")


@struct
class ResponseEntityData:
    entity_type: str = f(STRING, "0+")
    entity_name: str | None = f(STRING, "0+", nullable="0+")


@struct
class ResponseEntryData:
    error_code: int = f(INT16, "0+")
    error_message: str | None = f(STRING, "0+", nullable="0+")
    entity: list[ResponseEntityData] = f(array(ResponseEntityData), "0+")


@message(key=ApiKey.ALTER_CLIENT_QUOTAS, versions="0-1", flexible="1+")
class AlterClientQuotasResponse:
    throttle_time_ms: int = f(INT32, "0+")
    entries: list[ResponseEntryData] = f(array(ResponseEntryData), "0+")
