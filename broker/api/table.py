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


def api(key: ApiKey, low: int, high: int) -> Callable[[H], H]:
    """Mark a handler; nothing else happens here."""

    def mark(handler: H) -> H:
        handler.route = Route(key, low, high, handler, inspect.iscoroutinefunction(handler))  # type: ignore[attr-defined]
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
        found = [
            each.route
            for module in modules
            for each in vars(module).values()
            if hasattr(each, "route") and each.__module__ == module.__name__
        ]
        return Table(sorted(found, key=lambda route: route.key))

    def route(self, key: int) -> Route | None:
        return self.routes.get(key)
