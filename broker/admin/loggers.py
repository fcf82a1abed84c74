"""Levels of this broker's loggers, as a resource of their own (kafka.utils.LoggingController, KIP-412).

They last until the broker stops. Names are those of the log lines (``broker.controller.deletion``), and ``root``.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from broker.wire.errors import ErrorCode, KafkaError

ROOT = "root"
LEVELS = {"TRACE": 5, "DEBUG": 10, "INFO": 20, "WARN": 30, "ERROR": 40, "FATAL": 50}
SET, DELETE = 0, 1
OPERATIONS = ("SET", "DELETE", "APPEND", "SUBTRACT")


def levels() -> dict[str, str]:
    """The level that acts in each logger, ``root`` first, then by name."""
    names = sorted(name for name, each in logging.root.manager.loggerDict.items() if isinstance(each, logging.Logger))
    return {name: _text(_logger(name).getEffectiveLevel()) for name in (ROOT, *names)}


def alter(changes: Sequence[tuple[str, str | None, int]], *, validate_only: bool) -> None:
    """``(logger, level, operation)``: set a level, or return a logger to its parent's. Raises KafkaError 40, 42.

    All are checked before any is changed.
    """
    for name, level, operation in changes:
        _check(name, level, operation)
    if validate_only:
        return
    for name, level, operation in changes:
        _logger(name).setLevel(LEVELS[level or ""] if operation == SET else logging.NOTSET)


def _check(name: str, level: str | None, operation: int) -> None:
    if operation not in (SET, DELETE):
        known = OPERATIONS[operation] if 0 <= operation < len(OPERATIONS) else str(operation)
        message = f"{known} operation is not allowed for the BROKER_LOGGER resource"
        raise KafkaError(ErrorCode.INVALID_REQUEST, message)
    if name not in levels():
        raise KafkaError(ErrorCode.INVALID_CONFIG, f"Logger {name} does not exist!")
    if operation == DELETE and name == ROOT:
        raise KafkaError(ErrorCode.INVALID_REQUEST, f"Removing the log level of the {ROOT} logger is not allowed")
    if operation == SET and level not in LEVELS:
        message = (
            f"Cannot set the log level of {name} to {level} as it is not a supported log level. "
            f"Valid log levels are {', '.join(sorted(LEVELS))}"
        )
        raise KafkaError(ErrorCode.INVALID_CONFIG, message)


def _logger(name: str) -> logging.Logger:
    return logging.getLogger() if name == ROOT else logging.getLogger(name)


def _text(level: int) -> str:
    """The name of the highest level at or below ``level``."""
    return next((name for name, number in reversed(LEVELS.items()) if number <= level), "TRACE")
