"""The rows of the settings, and the types that stand for them."""

from __future__ import annotations

import ast
import typing
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from broker.config import BROKER_KEY, BROKER_KEYS, TOPIC_KEYS, KafkaConfig, Key, Kind, LogConfig
from broker.config.page import settings_page

TYPES: dict[Kind, Any] = {
    Kind.BOOLEAN: bool,
    Kind.STRING: str,
    Kind.INT: int,
    Kind.SHORT: int,
    Kind.LONG: int,
    Kind.DOUBLE: float,
    Kind.LIST: tuple[str, ...],
    Kind.CLASS: str,
    Kind.PASSWORD: str,
}
FILLED_IN = {"zookeeper.connect", "log.dirs"}  # no default, and yet never None: required, or derived


@pytest.mark.parametrize(("keys", "holder"), [(BROKER_KEYS, KafkaConfig), (TOPIC_KEYS, LogConfig)])
def test_every_row_is_an_attribute_of_its_type_and_there_is_no_other(keys: tuple[Key, ...], holder: type) -> None:
    hints = typing.get_type_hints(holder)
    declared = {each.name: hints[each.name] for each in fields(holder)}
    extra = {"originals", "unknown", "overrides", "_topic_defaults"}
    expected = {}
    for key in keys:
        plain = TYPES[key.kind]
        expected[key.attribute] = plain | None if key.default is None and key.name not in FILLED_IN else plain
    assert {name: hint for name, hint in declared.items() if name not in extra} == expected


@pytest.mark.parametrize("key", [*BROKER_KEYS, *TOPIC_KEYS], ids=lambda key: key.name)
def test_a_default_survives_being_written_and_read(key: Key) -> None:
    text = key.format(key.default)
    if text is not None and text != "":
        assert key.parse(text) == key.default
    assert key.doc.endswith((".", ":"))


def test_no_setting_has_two_rows() -> None:
    assert len(BROKER_KEY) == len(BROKER_KEYS)


@pytest.mark.parametrize("key", [key for key in TOPIC_KEYS if key.synonyms], ids=lambda key: key.name)
def test_a_topic_default_is_that_of_its_broker_synonyms(key: Key) -> None:
    for synonym in key.synonyms:
        assert synonym.name in BROKER_KEY
    assert getattr(KafkaConfig.of().topic_defaults(), key.attribute) == key.default


def attributes_that_are_read() -> set[str]:
    """Every name after a dot in the broker's code, the rows and declarations themselves aside."""
    root = Path(__file__).resolve().parents[2] / "broker"
    readers = {"kafka_config.py", "checks.py", "log_config.py"}
    found: set[str] = set()
    for path in root.rglob("*.py"):
        if path.parent.name != "config" or path.name in readers:
            tree = ast.parse(path.read_text())
            found |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return found


def test_a_setting_is_said_to_act_exactly_when_somebody_reads_it() -> None:
    read = attributes_that_are_read()
    topics_act = {key.name: key.attribute in read for key in TOPIC_KEYS}
    assert {key.name: key.effect for key in TOPIC_KEYS} == topics_act
    sources: dict[str, list[str]] = {}
    for key in TOPIC_KEYS:
        for synonym in key.synonyms:
            sources.setdefault(synonym.name, []).append(key.name)
    for key in BROKER_KEYS:
        acts = key.attribute in read or any(topics_act[name] for name in sources.get(key.name, ()))
        assert key.effect == acts, f"{key.name}: effect={key.effect}, yet it is {'' if acts else 'not '}read"


def test_the_page_of_settings_is_made_from_the_rows_as_they_are() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "settings.md"
    assert page.read_text() == settings_page(), "run: python -m broker.config.page > docs/settings.md"
