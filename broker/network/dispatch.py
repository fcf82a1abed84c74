"""From a request's bytes to its handler, and from what it answers to bytes (kafka.server.KafkaRequestHandler).

The gate on versions is here: an API or version that is not served ends the connection, but for ApiVersions, which is
answered in version 0 so that every client can learn what is served (KIP-511).
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import Callable, Coroutine
from typing import Any, Final, NamedTuple

from broker.api.context import Close, ConnectionLike, Context, Failure, Later, NoReply
from broker.api.error_replies import error_reply
from broker.api.services import Services
from broker.api.table import Route
from broker.wire import codec
from broker.wire.compiler import reader
from broker.wire.errors import ErrorCode, KafkaError, Malformed
from broker.wire.hot import hot_reader
from broker.wire.keys import ApiKey
from broker.wire.messages.api_versions import ApiVersion, ApiVersionsResponse
from broker.wire.schema import shape_of

log = logging.getLogger(__name__)

Buffer = bytes | bytearray | memoryview
RequestReader = Callable[[Any, int, int], tuple[Any, int]]


class Reply(NamedTuple):
    """A frame in parts; none: nothing is sent. ``closes``: why the connection ends after it, or None."""

    parts: tuple[Buffer, ...]
    closes: str | None = None


class Pending(NamedTuple):
    """An answer that comes later; ``encode`` makes its frame then, for the request that ``ctx`` and ``request`` are."""

    later: Later
    ctx: Context
    request: Any


NOTHING: Final = Reply(())


class Dispatcher:
    """One per broker. ``begin`` never raises."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._table = services.table
        self._now: Callable[[], float] = services.host.clock.monotonic
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._readers: dict[tuple[int, int], RequestReader] = {}

    def begin(self, connection: ConnectionLike, payload: memoryview) -> Reply | Pending:
        """Handle one request; a handler that waits goes on as a task."""
        try:
            api_key, version, correlation_id, client_id, body_at = codec.header_fields(payload)
            read = self._readers.get((api_key, version)) or self._reader(api_key, version)
            if read is None:
                return self._unserved(api_key, version, correlation_id, client_id)
            request = read(payload, body_at, len(payload))[0]
        except Malformed as error:
            return Reply((), f"a malformed request: {error}")
        except (IndexError, struct.error):
            return Reply((), f"a malformed request: its {len(payload)} bytes end within a field")
        ctx = Context(connection, self._services, api_key, version, correlation_id, client_id, self._now())
        return self._call(self._table.routes[api_key], ctx, request)

    def _reader(self, api_key: int, version: int) -> RequestReader | None:
        """The reader of a version that is served, or None."""
        route = self._table.route(api_key)
        if route is None or not route.serves(version):
            return None
        hot = hot_reader(api_key, version)
        read = self._readers[api_key, version] = hot or reader(shape_of(codec.request_class(api_key)), version)
        return read

    def _unserved(self, api_key: int, version: int, correlation_id: int, client_id: str | None) -> Reply:
        route = self._table.route(api_key)
        if route is not None and api_key == ApiKey.API_VERSIONS:
            only = ApiVersion(api_key=api_key, min_version=route.low, max_version=route.high)
            body = ApiVersionsResponse(error_code=ErrorCode.UNSUPPORTED_VERSION, api_keys=[only])
            return Reply((codec.encode_response(api_key, 0, correlation_id, body),))
        name = route.key.name if route else f"API {api_key}"
        return Reply((), f"{name} version {version} from client {client_id!r} is not served")

    def _call(self, route: Route, ctx: Context, request: Any) -> Reply | Pending:
        try:
            answer = route.handler(ctx, request)
        except Exception as error:  # noqa: BLE001 - the one place where whatever escapes a handler ends
            return self._failed(ctx, request, error)
        if route.waits:
            later = Later(holds=True)
            self._start(answer, later, f"{route.key.name} of {ctx.connection.name}")
            return Pending(later, ctx, request)
        if isinstance(answer, Later):
            if not answer.done:
                return Pending(answer, ctx, request)
            answer = answer.answer
        return self.encode(ctx, request, answer)

    def _start(self, work: Coroutine[Any, Any, Any], later: Later, name: str) -> None:
        task = asyncio.get_running_loop().create_task(self._run(work, later), name=name)
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)

    async def _run(self, work: Coroutine[Any, Any, Any], later: Later) -> None:
        try:
            answer = await work
        except Exception as error:  # noqa: BLE001 - the one place where whatever escapes a handler ends
            later.fail(error)
        else:
            later.complete(answer)

    def encode(self, ctx: Context, request: Any, answer: Any) -> Reply:
        """The frame of what a handler returned, or raised if it is a Failure."""
        if isinstance(answer, bytes):
            return Reply((answer,))
        if isinstance(answer, list):
            return Reply(tuple(answer))
        if isinstance(answer, Failure):
            return self._failed(ctx, request, answer.error)
        if isinstance(answer, NoReply):
            return NOTHING
        if isinstance(answer, Close):
            return Reply((), answer.reason)
        try:
            return Reply(codec.encode_response_parts(ctx.api_key, ctx.version, ctx.correlation_id, answer))
        except Exception as error:  # noqa: BLE001 - the one place where whatever escapes a handler ends
            return self._failed(ctx, request, error)

    def _failed(self, ctx: Context, request: Any, error: Exception) -> Reply:
        """An error reply. What is no KafkaError is our own fault: logged with the request, and the connection ends."""
        name = f"{ApiKey(ctx.api_key).name} v{ctx.version}"
        if isinstance(error, KafkaError):
            code, message, closes = error.code, error.message, None
        else:
            log.error(
                "%s %s from client %r failed: %.1000r",
                ctx.connection.name,
                name,
                ctx.client_id,
                request,
                exc_info=error,
            )
            code, message, closes = ErrorCode.UNKNOWN_SERVER_ERROR, None, f"{name} failed"
        if ctx.api_key == ApiKey.PRODUCE and request.acks == 0:
            return Reply((), closes or f"{name} with acks=0 was refused: {code.name}")
        body = error_reply(ctx.api_key, ctx.version, request, code, message)
        return Reply((codec.encode_response(ctx.api_key, ctx.version, ctx.correlation_id, body),), closes)

    def stop(self) -> None:
        """Cancel the handlers that still wait."""
        for task in list(self._tasks):
            task.cancel()
