"""The documentation's page of settings, from the rows: ``python -m broker.config.page > docs/settings.md``."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from broker.config.kafka_config import BROKER_KEYS
from broker.config.keys import MAX_DOUBLE, MAX_INT, MAX_LONG, Key
from broker.config.topic_keys import TOPIC_KEYS

HEAD = """\
# Settings

Made from the rows in `broker/config` by `python -m broker.config.page > docs/settings.md`; a test holds this page
against them. Names, types and defaults are those of Apache Kafka 3.9; those that begin with `kops.` are of kops alone.
**no** under "acts": the setting is accepted, so that Kafka's files work, and does nothing here.
"""

LARGE = {str(MAX_INT): "2³¹-1", str(MAX_LONG): "2⁶³-1", str(MAX_DOUBLE): "1.8e308"}


def settings_page() -> str:
    """Markdown."""
    broker = _table("Changes while running", ((key, key.update.value) for key in BROKER_KEYS))
    topic = _table("Default from", ((key, ", ".join(each.name for each in key.synonyms)) for key in TOPIC_KEYS))
    return "\n".join((HEAD, "## Of a broker (`server.properties`)", "", *broker, "", "## Of a topic", "", *topic, ""))


def _table(last: str, rows: Iterable[tuple[Key, str]]) -> list[str]:
    lines = [f"| Setting | Type | Default | Acts | What it is | {last} |", "|---|---|---|---|---|---|"]
    for key, extra in sorted(rows, key=lambda row: row[0].name):
        default = key.format(key.default)
        shown = "" if default is None else LARGE.get(default, default) or '""'
        acts = "yes" if key.effect else "**no**"
        lines.append(f"| `{key.name}` | {key.kind.name.lower()} | {shown} | {acts} | {key.doc} | {extra} |")
    return lines


if __name__ == "__main__":
    sys.stdout.write(settings_page())
