"""DescribeConfigs, AlterConfigs, IncrementalAlterConfigs: any broker serves them (KafkaApis; KIP-133, 226, 339)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol, TypeVar

from broker.admin.configs import Alteration, ConfigAdmin, Described, ResourceType, Source
from broker.api.context import Context
from broker.api.table import api
from broker.wire.errors import ErrorCode, KafkaError
from broker.wire.keys import ApiKey
from broker.wire.messages import alter_configs as alter
from broker.wire.messages import incremental_alter_configs as incremental
from broker.wire.messages.describe_configs import (
    DescribeConfigsRequest,
    DescribeConfigsResourceResult,
    DescribeConfigsResponse,
    DescribeConfigsResult,
    DescribeConfigsSynonym,
)

DESCRIBED: Final = frozenset(ResourceType)
MALFORMED: Final = (
    "This most likely occurs because of a request being malformed by the client library or the message was sent to "
    "an incompatible broker. See the broker logs for more details."
)
"""Kafka's words for INVALID_REQUEST where it says no more."""


@api(ApiKey.DESCRIBE_CONFIGS, 0, 4)
async def describe_configs(ctx: Context, request: DescribeConfigsRequest) -> DescribeConfigsResponse:
    """Settings with their sources; synonyms and documentation where they are asked for (KIP-226, KIP-569)."""
    admin: ConfigAdmin = ctx.services.config_admin
    if any(resource.resource_type not in DESCRIBED for resource in request.resources):
        raise KafkaError(ErrorCode.INVALID_REQUEST, MALFORMED)
    results = []
    for resource in request.resources:
        result = DescribeConfigsResult(resource_type=resource.resource_type, resource_name=resource.resource_name)
        try:
            described = await admin.describe(
                resource.resource_type, resource.resource_name, resource.configuration_keys
            )
            result.configs = [_entry(request, each) for each in described]
        except KafkaError as error:
            result.error_code, result.error_message = error.code, error.message
        results.append(result)
    return DescribeConfigsResponse(results=results)


def _entry(request: DescribeConfigsRequest, described: Described) -> DescribeConfigsResourceResult:
    key = described.key
    return DescribeConfigsResourceResult(
        name=key.name,
        value=described.value,
        read_only=described.read_only,
        is_default=described.source is Source.DEFAULT,
        config_source=described.source,
        is_sensitive=key.sensitive,
        synonyms=[
            DescribeConfigsSynonym(name=synonym.name, value=synonym.value, source=synonym.source)
            for synonym in described.synonyms
            if request.include_synonyms
        ],
        config_type=key.kind,
        documentation=key.documentation if request.include_documentation else None,
    )


class _Resource(Protocol):
    resource_type: int
    resource_name: str


R = TypeVar("R", bound=_Resource)


async def _each(resources: Sequence[R], perform: Callable[[R], Awaitable[None]]) -> list[tuple[R, KafkaError | None]]:
    """Alter one resource after the other; one that is named twice is refused, both times."""
    keys = [(resource.resource_type, resource.resource_name) for resource in resources]
    outcomes: list[tuple[R, KafkaError | None]] = []
    for key, resource in zip(keys, resources, strict=True):
        error: KafkaError | None = None
        if keys.count(key) > 1:
            error = KafkaError(ErrorCode.INVALID_REQUEST, "Each resource must appear at most once.")
        else:
            try:
                await perform(resource)
            except KafkaError as refused:
                error = refused
        outcomes.append((resource, error))
    return outcomes


@api(ApiKey.ALTER_CONFIGS, 0, 2)
async def alter_configs(ctx: Context, request: alter.AlterConfigsRequest) -> alter.AlterConfigsResponse:
    """What is not named returns to its default: a resource's settings are replaced as a whole."""
    admin: ConfigAdmin = ctx.services.config_admin

    async def perform(resource: alter.AlterConfigsResource) -> None:
        settings = [Alteration(each.name, each.value) for each in resource.configs]
        await admin.replace(resource.resource_type, resource.resource_name, settings, request.validate_only)

    responses = [
        alter.AlterConfigsResourceResponse(
            error_code=error.code if error else ErrorCode.NONE,
            error_message=error.message if error else None,
            resource_type=resource.resource_type,
            resource_name=resource.resource_name,
        )
        for resource, error in await _each(request.resources, perform)
    ]
    return alter.AlterConfigsResponse(responses=responses)


@api(ApiKey.INCREMENTAL_ALTER_CONFIGS, 0, 1)
async def incremental_alter_configs(
    ctx: Context, request: incremental.IncrementalAlterConfigsRequest
) -> incremental.IncrementalAlterConfigsResponse:
    """Set, delete, append to or subtract from the settings that are named, and no others."""
    admin: ConfigAdmin = ctx.services.config_admin

    async def perform(resource: incremental.AlterConfigsResource) -> None:
        changes = [Alteration(each.name, each.value, each.config_operation) for each in resource.configs]
        await admin.alter(resource.resource_type, resource.resource_name, changes, request.validate_only)

    responses = [
        incremental.AlterConfigsResourceResponse(
            error_code=error.code if error else ErrorCode.NONE,
            error_message=error.message if error else None,
            resource_type=resource.resource_type,
            resource_name=resource.resource_name,
        )
        for resource, error in await _each(request.resources, perform)
    ]
    return incremental.IncrementalAlterConfigsResponse(responses=responses)
