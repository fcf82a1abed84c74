"""CreateAcls, API 30 (org.apache.kafka.common.message.CreateAclsRequestData)."""

from __future__ import annotations

from broker.wire.keys import ApiKey
from broker.wire.schema import INT8, INT16, INT32, STRING, array, f, message, struct


@struct
class AclCreation:
    resource_type: int = f(INT8, "0+")
    resource_name: str = f(STRING, "0+")
    resource_pattern_type: int = f(INT8, "1+", default=3)
    principal: str = f(STRING, "0+")
    host: str = f(STRING, "0+")
    operation: int = f(INT8, "0+")
    permission_type: int = f(INT8, "0+")


@message(key=ApiKey.CREATE_ACLS, versions="0-3", flexible="2+")
class CreateAclsRequest:
    creations: list[AclCreation] = f(array(AclCreation), "0+")


@struct
class AclCreationResult:
    error_code: int = f(INT16, "0+")
    error_message: str | None = f(STRING, "0+", nullable="0+")


@message(key=ApiKey.CREATE_ACLS, versions="0-3", flexible="2+")
class CreateAclsResponse:
    throttle_time_ms: int = f(INT32, "0+")
    results: list[AclCreationResult] = f(array(AclCreationResult), "0+")
