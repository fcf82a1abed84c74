"""Apache Kafka 3.9 itself reads every message in every version as we meant it, and writes the same bytes."""

from __future__ import annotations

import base64
import json
import re
import subprocess
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import pytest

from broker.wire import codec, schema
from broker.wire.keys import ApiKey, newest_version
from broker.wire.schema import Array, Kind, shape_of
from tests.interop.test_dump_log import HOME
from tests.wire.random_messages import random_message

LIBS = HOME / "kafka-3.9.1" / "libs"
SEEDS = 4

pytestmark = pytest.mark.timeout(180)


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name.replace("KRaft", "Kraft")).lower()


def check(message: Any, version: int, said: dict[str, Any]) -> None:
    """Every field that Kafka shows is ours by name and value, and none of ours is missing."""
    by_name = {snake(name): value for name, value in said.items()}
    for field in shape_of(type(message)).fields:
        value = getattr(message, field.name)
        if not field.in_version(version):
            assert field.name not in by_name
        elif field.type is schema.RECORDS:
            size = None if value is None else len(value)
            assert by_name.get(f"{field.name}_size_in_bytes", by_name.get(field.name)) == size
        elif field.name in by_name or not field.is_tagged(version):
            compare(field.type, value, by_name[field.name], version)
    known = {field.name for field in shape_of(type(message)).fields}
    assert {name.removesuffix("_size_in_bytes") for name in by_name} <= known


def compare(type_: Any, value: Any, said: Any, version: int) -> None:
    if value is None or said is None:
        assert value is said
    elif isinstance(type_, Array):
        assert len(value) == len(said)
        for ours, theirs in zip(value, said, strict=True):
            compare(type_.element, ours, theirs, version)
    elif not isinstance(type_, Kind):
        check(value, version, said)
    elif type_ is schema.UUID_:
        assert UUID(bytes=base64.urlsafe_b64decode(said + "==")) == value
    elif type_ is schema.BYTES:
        assert base64.b64decode(said) == value
    else:
        assert said == value


@pytest.fixture(scope="module")
def verdicts() -> dict[tuple[str, int, int], tuple[Any, bytes, str]]:
    """(class, version, seed) -> our message, its bytes, and what Kafka says of them."""
    if not LIBS.is_dir():
        pytest.skip(f"Apache Kafka 3.9.1 is not in {LIBS}; scripts/interop-setup brings it")
    asked = {}
    for key in ApiKey:
        for cls in (codec.request_class(key), codec.response_class(key)):
            for version in range(newest_version(key) + 1):
                for seed in range(SEEDS):
                    message = random_message(cls, version, Random(f"{cls.__name__} {version} {seed}"), most=2)
                    asked[cls.__name__, version, seed] = (message, codec.write(message, version))
    lines = "".join(f"{name} {version} {raw.hex()}\n" for (name, version, _), (_, raw) in asked.items())
    source = str(Path(__file__).parent / "WireJudge.java")
    command = ["java", "-Xmx256m", "-XX:+UseSerialGC", "-cp", f"{LIBS}/*", source]
    done = subprocess.run(command, input=lines, capture_output=True, text=True, timeout=150, check=False)
    if "compiler" in done.stderr and not done.stdout:
        pytest.skip("java has no compiler here (a JDK is needed, not a JRE)")
    answers = done.stdout.splitlines()
    assert len(answers) == len(asked), done.stderr[-2000:]
    return {case: (*found, answer) for (case, found), answer in zip(asked.items(), answers, strict=True)}


@pytest.mark.parametrize("key", list(ApiKey), ids=lambda key: key.name)
def test_kafka_reads_what_we_meant(key: ApiKey, verdicts: dict[tuple[str, int, int], tuple[Any, bytes, str]]) -> None:
    for cls in (codec.request_class(key), codec.response_class(key)):
        for version in range(newest_version(key) + 1):
            for seed in range(SEEDS):
                message, raw, answer = verdicts[cls.__name__, version, seed]
                assert not answer.startswith("!"), (cls.__name__, version, message, answer)
                back, _, said = answer.partition(" ")
                check(message, version, json.loads(said))
                assert bytes.fromhex(back) == raw, (cls.__name__, version, message)
