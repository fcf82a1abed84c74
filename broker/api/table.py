"""Which APIs this broker serves, in which versions, by which handler (kafka.server.ApiVersionManager).

The one source: the gate on versions, the ApiVersions reply and the docs' list derive from it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

from broker.wire.keys import ApiKey

H = TypeVar("H", bound=Callable[..., Any])


class Route(NamedTuple):
    """Versions low to high of ``key`` go to ``handler(ctx, request)``; ``waits``: it is a coroutine function."""

    key: ApiKey
    low: int
    high: int
    handler: Callable[..., Any]
    waits: bool

    def serves(self, version: int) -> bool:
        return self.low <= version <= self.high


_MARKED: list[Route] = []
"""What :func:`api` saw; not kept at the handlers, for a compiled function takes no attributes."""


def api(key: ApiKey, low: int, high: int) -> Callable[[H], H]:
    """Mark a handler; nothing else happens here."""

    def mark(handler: H) -> H:
        _MARKED.append(Route(key, low, high, handler, inspect.iscoroutinefunction(handler)))
        return handler

    return mark


class Table:
    """Routes by API key."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes: dict[int, Route] = {}
        for route in routes:
            if route.key in self.routes:
                raise ValueError(f"{route.key.name} is served twice")
            self.routes[route.key] = route

    @staticmethod
    def of(modules: Iterable[ModuleType]) -> Table:
        """The handlers that ``modules`` define, in order of their keys."""
        names = {module.__name__ for module in modules}
        found = [route for route in _MARKED if route.handler.__module__ in names]
        return Table(sorted(found, key=lambda route: route.key))

    def route(self, key: int) -> Route | None:
        return self.routes.get(key)
