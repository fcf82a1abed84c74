"""The views of files of a log: entries, and what is wrong."""

import json

from kops.columns import Column, View
from kops.local.log_files import Entry, Flaw

ENTRIES: View[Entry] = View(
    "LogDump",
    (
        Column("FILE", lambda one: one.file, wide=True),
        Column("AT", lambda one: one.at),
        Column("KIND", lambda one: one.kind),
        Column("CONTENT", lambda one: " ".join(f"{name}={_told(value)}" for name, value in one.fields.items())),
    ),
    lambda one: {"file": one.file, "at": one.at, "kind": one.kind, **one.fields},
    lambda one: f"{one.file}:{one.at}",
)

FLAWS: View[Flaw] = View(
    "LogVerification",
    (
        Column("FILE", lambda one: one.file),
        Column("AT", lambda one: one.at),
        Column("WHAT", lambda one: one.what),
    ),
    lambda one: {"file": one.file, "at": one.at, "what": one.what},
    lambda one: f"{one.file}:{one.at}",
)


def _told(value: object) -> str:
    """Text is quoted, so that null, an empty text and blanks are told apart."""
    return json.dumps(value, ensure_ascii=False)
