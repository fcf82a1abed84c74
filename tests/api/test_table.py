"""The table of APIs, and what ApiVersions says of it."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType
from typing import Any

import pytest

from broker.api.cluster import advertised, api_versions
from broker.api.context import Context
from broker.api.families import FAMILIES
from broker.api.services import Services
from broker.api.table import Route, Table, api
from broker.config import KafkaConfig
from broker.host import real_host
from broker.wire.keys import ApiKey, newest_version
from broker.wire.messages.api_versions import ApiVersionsRequest


def module(**members: Any) -> ModuleType:
    made = ModuleType("family")
    for name, member in members.items():
        member.__module__ = "family"
        setattr(made, name, member)
    return made


def test_a_table_has_the_marked_functions_of_its_modules_by_key() -> None:
    @api(ApiKey.METADATA, 0, 12)
    async def metadata(ctx: Context, request: Any) -> None: ...

    @api(ApiKey.PRODUCE, 3, 11)
    def produce(ctx: Context, request: Any) -> None: ...

    def unmarked() -> None: ...

    table = Table.of([module(metadata=metadata), module(produce=produce, unmarked=unmarked)])
    assert list(table.routes) == [ApiKey.PRODUCE, ApiKey.METADATA]
    assert table.route(ApiKey.METADATA) == Route(ApiKey.METADATA, 0, 12, metadata, True)
    assert table.route(ApiKey.PRODUCE) == Route(ApiKey.PRODUCE, 3, 11, produce, False)
    assert table.route(ApiKey.FETCH) is None
    assert [(each.api_key, each.min_version, each.max_version) for each in advertised(table)] == [
        (0, 3, 11),
        (3, 0, 12),
    ]


def test_an_api_that_is_served_twice_is_refused() -> None:
    def handler(ctx: Context, request: Any) -> None: ...

    route = Route(ApiKey.FETCH, 0, 1, handler, False)
    with pytest.raises(ValueError, match="FETCH is served twice"):
        Table([route, route])


def test_the_broker_serves_no_version_that_the_wire_does_not_know_and_produce_from_0() -> None:
    """librdkafka takes a Produce that does not begin at 0 for a broker without compression (facts H.9)."""
    table = Table.of(FAMILIES)
    for route in table.routes.values():
        assert 0 <= route.low <= route.high <= newest_version(route.key)
    produce = table.route(ApiKey.PRODUCE)
    assert produce is not None
    assert (produce.low, produce.high) == (0, 11)
    assert table.route(ApiKey.API_VERSIONS) == Route(ApiKey.API_VERSIONS, 0, 4, api_versions, False)


@pytest.mark.parametrize(
    ("name", "version", "code"),
    [
        ("apache-kafka-java", "3.9.1", 0),
        ("librdkafka", "2.3.0-devel", 0),
        ("", "1", 42),
        ("a", "-1", 42),
        ("a b", "1", 42),
    ],
)
def test_names_of_clients_are_checked_from_version_3(name: str, version: str, code: int) -> None:
    services = Services(config=KafkaConfig.of(broker_id=1), host=real_host(), table=Table.of(FAMILIES))
    request = ApiVersionsRequest(client_software_name=name, client_software_version=version)
    for api_version in range(5):
        ctx = Context(None, services, ApiKey.API_VERSIONS, api_version, 1, "me", 0.0)  # type: ignore[arg-type]
        reply = api_versions(ctx, request)
        assert reply.error_code == (code if api_version >= 3 else 0)
        assert bool(reply.api_keys) == (reply.error_code == 0)


def test_what_a_broker_imports_at_start_has_no_heavy_library() -> None:
    program = "import sys, broker.network.listener, broker.network.dispatch, broker.api.families; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "broker.wire.messages.produce" in loaded
    assert not {"kio", "aiokafka", "kafka", "kazoo", "typer", "textual", "rich", "hypothesis"} & set(loaded)
