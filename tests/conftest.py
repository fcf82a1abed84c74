"""What every test may count upon."""

import signal

import pytest

# Ctrl-C interrupts what a test starts. Where a shell runs pytest in the background it is ignored, by its children too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

SLOW = ("interop", "clients", "cluster", "kops", "sim")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slow folders first, so that no long file is left to one worker at the end."""
    folders = [item.path.relative_to(item.config.rootpath / "tests").parts[0] for item in items]
    order = [SLOW.index(folder) if folder in SLOW else len(SLOW) for folder in folders]
    items[:] = [item for _, item in sorted(zip(order, items, strict=True), key=lambda pair: pair[0])]
