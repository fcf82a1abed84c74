"""Moments and lengths of time as people write them, in epoch milliseconds."""

import re

from kops.errors import BadUsage

_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")


def instant(milliseconds: int) -> str:
    """RFC 3339 in local time, with the zone."""
    from datetime import datetime

    return datetime.fromtimestamp(milliseconds / 1000).astimezone().isoformat(timespec="milliseconds")


def moment(text: str, *, utc: bool = False) -> int:
    """Epoch milliseconds of ``-6h``, RFC 3339 or epoch s or ms. Without a zone: local time, or UTC as Apache has it."""
    from datetime import UTC, datetime, timedelta

    if relative := re.fullmatch(r"-(\d+)(ms|s|m|h|d)", text):
        unit = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}[relative[2]]
        return int((datetime.now().astimezone() - timedelta(**{unit: int(relative[1])})).timestamp() * 1000)
    if text.isdigit():
        return int(text) * (1000 if len(text) <= 10 else 1)
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadUsage(f"'{text}' is not a time", "For example -10m, 2026-01-31T12:00:00Z or 1767225600000.") from error
    zoned = found.replace(tzinfo=UTC) if utc and found.tzinfo is None else found.astimezone()
    return int(zoned.timestamp() * 1000)


def duration(text: str) -> int:
    """Milliseconds of an ISO 8601 duration (``P1DT2H``), as Apache takes it, or of ``6h``."""
    if plain := re.fullmatch(r"(\d+)(ms|s|m|h|d)", text):
        return int(plain[1]) * {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}[plain[2]]
    found = _DURATION.fullmatch(text)
    if found is None or not any(found.groups()):
        raise BadUsage(f"'{text}' is not a duration", "For example PT6H, P1DT12H, 90m or 30s.")
    days, hours, minutes, seconds = (float(one or 0) for one in found.groups())
    return int((((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000)
