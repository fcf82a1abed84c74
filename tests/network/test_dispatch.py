"""The dispatcher on its own: whatever bytes come, it answers or names a reason to close."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from broker.api.context import Context
from broker.api.error_replies import error_reply
from broker.network.dispatch import Reply
from broker.wire import codec
from broker.wire.keys import ApiKey, newest_version
from tests.network.world import World
from tests.wire.random_messages import random_message


def refuse(ctx: Context, request: Any) -> Any:
    return error_reply(ctx.api_key, ctx.version, request, 42)


class NoConnection:
    name = listener = client_host = principal = "nowhere"
    state: dict[str, Any] = {}  # noqa: RUF012 - never written to


@pytest.fixture(scope="module")
def there() -> World:
    return World(dict.fromkeys(ApiKey, refuse))


@pytest.mark.parametrize("key", list(ApiKey), ids=lambda key: key.name)
def test_every_request_of_every_version_reaches_its_handler_and_is_answered(key: ApiKey, there: World) -> None:
    for version in range(newest_version(key) + 1):
        body = random_message(codec.request_class(key), version, Random(version))
        frame = codec.encode_request(key, version, 9, "me", body)
        reply = there.dispatcher.begin(NoConnection(), memoryview(bytearray(frame))[4:])
        assert isinstance(reply, Reply)
        if key == ApiKey.PRODUCE and body.acks == 0:
            continue
        assert reply.closes is None
        assert codec.decode_response(key, version, b"".join(reply.parts)[4:])[0] == 9


@pytest.mark.parametrize("key", list(ApiKey), ids=lambda key: key.name)
def test_damaged_requests_are_answered_or_close(key: ApiKey, there: World) -> None:
    random = Random(int(key))
    for _ in range(150):
        version = random.randint(0, newest_version(key))
        body = random_message(codec.request_class(key), version, random, most=2)
        payload = bytearray(codec.encode_request(key, version, 9, "me", body)[4:])
        for _ in range(random.randint(1, 4)):
            payload[random.randrange(len(payload))] = random.getrandbits(8)
        reply = there.dispatcher.begin(NoConnection(), memoryview(payload[: random.randint(1, len(payload))]))
        assert isinstance(reply, Reply)
        assert reply.parts or reply.closes


def test_noise_closes(there: World) -> None:
    random = Random(1)
    for length in (*range(40), 1000):
        reply = there.dispatcher.begin(NoConnection(), memoryview(b"\x7f" + random.randbytes(length)))
        assert isinstance(reply, Reply)
        assert reply.closes
