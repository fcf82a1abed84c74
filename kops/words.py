"""Words that go with numbers."""


def counted(number: int, noun: str, one: str = "", many: str = "") -> str:
    """``1 record``, ``2 records``; with a verb for each: ``counted(1, "replica", "is", "are")`` is ``1 replica is``."""
    word, verb = (noun, one) if number == 1 else (noun + "s", many)
    return f"{number} {word} {verb}".rstrip()
