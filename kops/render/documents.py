"""JSON and YAML: exactly one document per command, also for errors, plans and dry runs; NDJSON for streams."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from kops.errors import KopsError

API_VERSION = "kops/v1"


def document(
    kind: str, items: Sequence[Mapping[str, Any]], errors: Sequence[KopsError] = (), **extra: Any
) -> dict[str, Any]:
    """The one document of a command: what it is, what was found or done, what failed."""
    return {
        "kind": kind,
        "apiVersion": API_VERSION,
        **extra,
        "items": [dict(item) for item in items],
        "errors": [error.as_dict() for error in errors],
    }


def as_json(content: Any) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False)


def as_ndjson(content: Any) -> str:
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False)


def as_yaml(content: Any) -> str:
    import yaml

    return str(yaml.safe_dump(content, sort_keys=False, allow_unicode=True)).rstrip("\n")
