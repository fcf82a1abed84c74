"""What ``python -m broker`` takes."""

from __future__ import annotations

import pytest

from broker.__main__ import main, parse_arguments


def test_a_file_and_overrides_in_both_spellings() -> None:
    arguments = ["s.properties", "--override", "broker.id=3", "--override=listeners=PLAINTEXT://:1", "--override", "a="]
    assert parse_arguments(arguments) == ("s.properties", {"broker.id": "3", "listeners": "PLAINTEXT://:1", "a": ""})


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_without_a_file_there_is_the_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 1
    assert "Usage: python -m broker server.properties" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [["--overide", "a=b"], ["--override"], ["--override", "a"], ["--override", "=b"]])
def test_what_is_not_understood_is_named(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["s.properties", *wrong]) == 1
    assert "not understood" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["/no/such/server.properties"]) == 1
    error = capsys.readouterr().err
    assert "/no/such/server.properties: cannot be read: No such file or directory" in error
    assert "Name a readable server.properties" in error
