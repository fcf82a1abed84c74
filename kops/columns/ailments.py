"""The view of what a doctor found."""

from kops.columns import Column, View
from kops.operations.doctor import Ailment

AILMENTS: View[Ailment] = View(
    "Diagnosis",
    (
        Column("LEVEL", lambda one: one.level),
        Column("CHECK", lambda one: one.check),
        Column("SUBJECT", lambda one: one.subject),
        Column("WHAT", lambda one: one.what),
        Column("MEND", lambda one: one.mend),
    ),
    lambda one: {
        "level": one.level,
        "check": one.check,
        "subject": one.subject,
        "what": one.what,
        "mend": one.mend,
    },
    lambda one: one.subject,
)
