"""Apache's verbs as options: ``kops topic --create --topic t`` is ``kops topic create t`` in Apache's layout."""

from collections.abc import Mapping, Sequence

VERBS: Mapping[str, tuple[str, ...]] = {
    "topic": ("create", "list", "describe", "delete", "alter"),
    "config": ("describe", "alter"),
    "group": ("list", "describe", "delete", "reset-offsets", "delete-offsets"),
}
_BROKERS = ("--bootstrap-servers", "--broker-list", "--brokers")
"""Other names of ``--bootstrap-server``."""
_VALUED = {
    *("-c", "--context", "-b", "--bootstrap-server"),
    *("--zookeeper", "--command-config", "-X", "-o", "--output", "--timeout"),
}


def rewrite(arguments: Sequence[str]) -> list[str]:
    """The line with the verb in its place; unchanged when it is not written Apache's way."""
    words = [_brokers(word) for word in arguments]
    at = _noun_at(words)
    if at is None:
        return ["version" if word == "--version" else word for word in words]
    if words[at] in ("group", "groups"):
        words = _bare_state(words)
    rest = words[at + 1 :]
    verbs = VERBS.get(words[at].removesuffix("s"), ())
    if not rest or not rest[0].startswith("-"):
        return words
    found = [word for word in rest if word.startswith("--") and word[2:] in verbs]
    if len(found) != 1:
        return words
    rest.remove(found[0])
    return [*words[: at + 1], found[0][2:], "--apache-verbs", *rest]


def _brokers(word: str) -> str:
    name, given, value = word.partition("=")
    return f"--bootstrap-server{given}{value}" if name in _BROKERS else word


def _bare_state(words: list[str]) -> list[str]:
    """``--list --state`` and ``--type``: the value is optional there, which is written as an empty one."""
    if not {"list", "ls", "--list"} & set(words):
        return words
    following = [*words[1:], "-"]
    return [
        f"{word}=" if word in ("--state", "--type") and after.startswith("-") else word
        for word, after in zip(words, following, strict=True)
    ]


def _noun_at(words: Sequence[str]) -> int | None:
    """Where the noun is: the first word that is neither an option nor the value of one."""
    at = 0
    while at < len(words):
        if not words[at].startswith("-"):
            return at
        at += 2 if words[at] in _VALUED else 1
    return None
