"""Where offsets are to be reset to: the choices, and Apache's CSV files."""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from kops.cluster.offsets import Position
from kops.cluster.times import instant
from kops.errors import BadUsage


class Where(Enum):
    """The kinds of targets; all but the last of them are Apache's."""

    EARLIEST = "earliest"
    LATEST = "latest"
    CURRENT = "current"
    OFFSET = "offset"
    SHIFT = "shift-by"
    TIME = "datetime"
    FILE = "from-file"
    GROUP = "from-group"


@dataclass(frozen=True, slots=True)
class Target:
    """``number``: an offset, a shift or epoch ms. ``given``: offsets per group (from a file) or for all ("")."""

    where: Where
    number: int = 0
    given: Mapping[str, Mapping[Position, int]] | None = None

    @property
    def told(self) -> str:
        if self.where is Where.TIME:
            return f"the first record at or after {instant(self.number)}"
        if self.where in (Where.OFFSET, Where.SHIFT):
            return f"shift by {self.number:+d}" if self.where is Where.SHIFT else f"offset {self.number}"
        return str(self.where.value)


def read_csv(lines: Iterable[str], groups: Iterable[str]) -> dict[str, dict[Position, int]]:
    """Apache's CSV: ``topic,partition,offset`` for one group, ``group,topic,partition,offset`` for several.

    Rows of three belong to the one group named. Raises BadUsage for what is neither.
    """
    named = list(groups)
    found: dict[str, dict[Position, int]] = {}
    for number, row in enumerate(csv.reader(lines), 1):
        if not row:
            continue
        try:
            group = row[0] if len(row) == 4 else named[0]
            topic, partition, offset = row[-3:]
            if len(row) not in (3, 4) or (len(row) == 3 and len(named) != 1):
                raise ValueError
            found.setdefault(group, {})[Position(topic, int(partition))] = int(offset)
        except (ValueError, IndexError) as error:
            raise BadUsage(
                f"line {number} of the file: {','.join(row)}",
                "It must be topic,partition,offset for one --group, or group,topic,partition,offset.",
            ) from error
    return found


def write_csv(offsets: Mapping[str, Mapping[Position, int]]) -> list[str]:
    """What ``read_csv`` reads: three columns for one group, four for several."""
    import io

    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    for group, values in offsets.items():
        lead = [group] if len(offsets) > 1 else []
        for position, offset in sorted(values.items()):
            writer.writerow([*lead, position.topic, position.partition, offset])
    return sink.getvalue().splitlines()


def scope(words: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """``topic`` or ``topic:0,1`` (Apache's form): topics with the partitions that are meant, none for all."""
    found: dict[str, tuple[int, ...]] = {}
    for word in words:
        topic, separator, numbers = word.partition(":")
        try:
            found[topic] = tuple(int(number) for number in numbers.split(",")) if separator else ()
        except ValueError as error:
            raise BadUsage(f"--topic {word}: not partitions", "For example --topic orders:0,1.") from error
    return found
