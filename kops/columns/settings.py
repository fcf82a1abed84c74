"""The views of settings, and of partitions that are emptied."""

from kops.cluster.configs import Setting
from kops.cluster.emptying import Emptying
from kops.columns import Column, View, yes

SETTINGS: View[Setting] = View(
    "ConfigList",
    (
        Column("ENTITY", lambda one: str(one.entity)),
        Column("NAME", lambda one: one.name),
        Column("VALUE", lambda one: one.shown),
        Column("SOURCE", lambda one: one.source),
        Column("READ-ONLY", lambda one: yes(one.read_only), wide=True),
        Column(
            "SYNONYMS",
            lambda one: "; ".join(f"{source}: {name}={value}" for source, name, value in one.synonyms) or "-",
            wide=True,
        ),
    ),
    lambda one: {
        "kind": one.entity.kind,
        "entity": one.entity.name,
        "name": one.name,
        "value": None if one.sensitive else one.value,
        "source": one.source,
        "overridden": one.overridden,
        "readOnly": one.read_only,
        "sensitive": one.sensitive,
        "synonyms": [{"source": source, "name": name, "value": value} for source, name, value in one.synonyms],
    },
    lambda one: one.name,
)

EMPTIED: View[Emptying] = View(
    "TopicEmptying",
    (
        Column("TOPIC", lambda one: one.position.topic),
        Column("PARTITION", lambda one: one.position.partition),
        Column("BEGAN", lambda one: one.begins),
        Column("BEGINS", lambda one: one.target),
        Column("ENDS", lambda one: one.ends),
        Column("RECORDS", lambda one: one.records),
    ),
    lambda one: {
        "topic": one.position.topic,
        "partition": one.position.partition,
        "earliestBefore": one.begins,
        "earliest": one.target,
        "latest": one.ends,
        "records": one.records,
    },
    lambda one: str(one.position),
)
