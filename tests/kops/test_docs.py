"""The table of nouns and verbs in docs/cli.md is what the program has."""

import re
from pathlib import Path

import pytest

from kops.cli import NOUNS, _load

PAGE = (Path(__file__).parents[2] / "docs/cli.md").read_text()
ROWS = dict(re.findall(r"^\| (`[a-z]+`|\(none\)) \| (.*) \|$", PAGE, re.MULTILINE))


def told(noun: str) -> set[str]:
    """Verbs: words in backticks, but for those in brackets."""
    return set(re.findall(r"`([a-z-]+)`", re.sub(r"\([^)]*\)", "", ROWS[noun])))


def test_what_has_no_verbs_stands_in_the_first_row() -> None:
    assert told("(none)") == {name for name in NOUNS if not hasattr(_load(name), "commands")}


@pytest.mark.parametrize("noun", [name for name in NOUNS if hasattr(_load(name), "commands")])
def test_every_verb_of_a_noun_is_told_and_no_other(noun: str) -> None:
    assert told(f"`{noun}`") == {verb for verb, command in _load(noun).commands.items() if not command.hidden}
