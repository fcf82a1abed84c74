"""Apache's command-line tools of 3.9 are told the same story by our brokers and by Apache's: what they say must agree.

One flow for each tool, with its mistakes.
"""

import json
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.interop.apache import Cluster, until
from tests.interop.ours import Ours
from tests.interop.tools import CONFIGS, DELETE_RECORDS, ELECTION, LOG_DIRS, REASSIGN, TOPICS, Tools

Heard = list[tuple[str, str]]
TOPIC = ("--entity-type", "topics", "--entity-name", "told")
BROKER = ("--entity-type", "brokers", "--entity-name", "1")
ALL = ("--entity-type", "brokers", "--entity-default")


class Storyteller:
    """Runs tools against one cluster and keeps what they say, without what differs from run to run."""

    def __init__(self, tools: Tools, cluster: Cluster, folder: Path) -> None:
        self._tools, self._cluster, self._folder = tools, cluster, folder
        self._at = ("--bootstrap-server", cluster.bootstrap)
        self.heard: Heard = []

    def __call__(self, tool: str, *arguments: str) -> None:
        said = self._tools(tool, *self._at, *arguments, code=None)
        self.heard.append((" ".join((tool, *arguments)), f"[{self._tools.ended}] {self._plain(said)}"))

    def unheard(self, tool: str, *arguments: str) -> None:
        self._tools(tool, *self._at, *arguments, code=None)

    def _plain(self, said: str) -> str:
        said = said.replace(str(self._cluster.folder), "FOLDER").replace(self._cluster.bootstrap, "BOOTSTRAP")
        said = re.sub(r"(?m)^\s+(at |\.\.\. \d+ more).*\n", "", said)
        said = re.sub(
            r"(?m)^.* (ERROR|WARN) .*\(org\.apache\.\S+\)\n", "", said
        )  # a log, between the lines of the answer
        said = re.sub(r"TopicId: \S+|adminclient-\d+|\[\d{4}-\S+ \S+\]", "", said)
        return "\n".join(",".join(sorted(line.split(","))) for line in said.splitlines())

    def file(self, content: object) -> str:
        path = self._folder / "given.json"
        path.write_text(json.dumps(content))
        return str(path)

    def moves(self, replicas: list[int], partitions: int = 4, topic: str = "told") -> tuple[str, str]:
        wanted = [{"topic": topic, "partition": index, "replicas": replicas} for index in range(partitions)]
        return "--reassignment-json-file", self.file({"version": 1, "partitions": wanted})

    def settled(self) -> None:
        """Nothing is being moved any more."""
        words = (REASSIGN, *self._at, "--list")
        until(lambda: "No partition reassignments" in self._tools(*words), "it is still being moved")

    def shows(self, text: str, *arguments: str, put: Sequence[str] = ()) -> None:
        """A broker applies a setting when ZooKeeper has told it; it is ``put`` again where Apache's missed the word."""
        ours = isinstance(self._cluster, Ours)
        tried = time.monotonic()

        def shown() -> bool:
            nonlocal tried
            if put and not ours and time.monotonic() > tried + 10:
                self.unheard(CONFIGS, *put)
                tried = time.monotonic()
            return text in self._tools(CONFIGS, *self._at, "--describe", *arguments)

        until(shown, f"{text} is not shown")


def of_topics(ask: Storyteller) -> None:
    ask(
        TOPICS, "--create", "--topic", "told", "--replica-assignment", "1:2,2:3,3:1", "--config", "retention.ms=1000000"
    )
    ask(TOPICS, "--create", "--topic", "told", "--partitions", "3")
    ask(TOPICS, "--create", "--topic", "told", "--if-not-exists")
    for wrong in (
        *(
            ("--topic", "k", "--partitions", "0"),
            ("--topic", "k", "--replication-factor", "4"),
            ("--topic", "bad/name"),
        ),
        *(("--topic", "k", "--config", "no=1"), ("--topic", "k", "--config", "retention.ms=x")),
    ):
        ask(TOPICS, "--create", *wrong)
    grown = "1:2,2:3,3:1,1:3"
    ask(TOPICS, "--alter", "--topic", "told", "--partitions", "4", "--replica-assignment", grown)
    for wrong in (("told", "2"), ("told", "4"), ("nix", "2")):
        ask(TOPICS, "--alter", "--topic", wrong[0], "--partitions", wrong[1])
    ask(TOPICS, "--alter", "--topic", "told", "--partitions", "5", "--replica-assignment", grown + ",7:8")
    ask(TOPICS, "--describe", "--topic", "nix")


def of_what_ails(ask: Storyteller) -> None:
    ask(TOPICS, "--describe", "--topic", "told")
    for which in ("under-replicated", "under-min-isr", "at-min-isr", "unavailable"):
        ask(TOPICS, "--describe", "--topic", "told", f"--{which}-partitions")
    ask(TOPICS, "--describe", "--topic", "told", "--topics-with-overrides")


def of_topic_settings(ask: Storyteller) -> None:
    put = "min.insync.replicas=2,cleanup.policy=[compact,delete],segment.bytes=1048576"
    ask(CONFIGS, *TOPIC, "--alter", "--add-config", put)
    ask.shows("segment.bytes=1048576", *TOPIC)
    ask(CONFIGS, *TOPIC, "--describe")
    ask(CONFIGS, *TOPIC, "--describe", "--all")
    ask(CONFIGS, *TOPIC, "--alter", "--delete-config", "cleanup.policy")
    ask(CONFIGS, *TOPIC, "--alter", "--delete-config", "cleanup.policy")
    for wrong in (
        *("nonsense=2", "retention.ms=abc", "retention.ms=-5", "retention.ms=", "cleanup.policy=foo"),
        *("segment.bytes=1", "compression.type=brotli", "min.insync.replicas=0", "preallocate=maybe"),
        *("min.cleanable.dirty.ratio=2", "message.timestamp.type=Foo"),
        "min.compaction.lag.ms=10,max.compaction.lag.ms=5",
    ):
        ask(CONFIGS, *TOPIC, "--alter", "--add-config", wrong)
    ask(CONFIGS, "--entity-type", "topics", "--entity-name", "nix", "--describe")


def of_broker_settings(ask: Storyteller) -> None:
    of_one = (*BROKER, "--alter", "--add-config", "log.cleaner.threads=2")
    of_all = (*ALL, "--alter", "--add-config", "log.retention.ms=999999999")
    ask(CONFIGS, *of_one)
    ask(CONFIGS, *of_all)
    ask.shows("log.retention.ms=999999999", *BROKER, "--all", put=of_all)
    ask.shows("log.cleaner.threads=2", *BROKER, put=of_one)
    ask(CONFIGS, *ALL, "--describe")
    ask(CONFIGS, *BROKER, "--describe")
    ask(CONFIGS, *TOPIC, "--describe", "--all")
    for wrong in ("zookeeper.connect=x", "log.retention.ms=x"):
        ask(CONFIGS, *BROKER, "--alter", "--add-config", wrong)
        ask(CONFIGS, *ALL, "--alter", "--add-config", wrong)
    ask(CONFIGS, *BROKER, "--alter", "--delete-config", "log.cleaner.threads")
    ask(CONFIGS, *ALL, "--alter", "--delete-config", "log.retention.ms")
    ask(CONFIGS, *BROKER, "--alter", "--delete-config", "log.cleaner.threads")


def of_moves(ask: Storyteller) -> None:
    for wrong in (ask.moves([9], 1), ask.moves([1, 1], 1), ask.moves([1], 1, "nix")):
        ask(REASSIGN, "--execute", *wrong)
    ask(REASSIGN, "--execute", *ask.moves([3, 2, 1]))
    ask.settled()
    ask(REASSIGN, "--verify", *ask.moves([3, 2, 1]))
    ask(TOPICS, "--describe", "--topic", "told", "--unavailable-partitions")
    ask(CONFIGS, *TOPIC, "--describe")
    ask(CONFIGS, *BROKER, "--describe")
    ask(REASSIGN, "--cancel", *ask.moves([3, 2, 1]))
    ask(REASSIGN, "--list")
    ask(REASSIGN, "--verify", *ask.moves([1], 1))


def of_elections(ask: Storyteller) -> None:
    one = ("--topic", "told", "--partition", "0")
    ask.unheard(ELECTION, "--election-type", "preferred", *one)  # who leads by now depends on when brokers came back
    ask(ELECTION, "--election-type", "preferred", *one)
    ask(ELECTION, "--election-type", "unclean", *one)
    ask(ELECTION, "--election-type", "preferred", "--topic", "nix", "--partition", "0")


def of_log_dirs(ask: Storyteller) -> None:
    ask(LOG_DIRS, "--describe", "--topic-list", "told")


def of_deleted_records(ask: Storyteller) -> None:
    wanted = [{"topic": "told", "partition": index, "offset": offset} for index, offset in ((0, -1), (1, 5))]
    ask(DELETE_RECORDS, "--offset-json-file", ask.file({"version": 1, "partitions": wanted}))


def of_the_end(ask: Storyteller) -> None:
    ask(TOPICS, "--delete", "--topic", "told")
    ask(TOPICS, "--delete", "--topic", "told")
    ask(TOPICS, "--delete", "--topic", "told", "--if-exists")


STORY: tuple[Callable[[Storyteller], None], ...] = (
    *(of_topics, of_what_ails, of_topic_settings, of_broker_settings, of_moves, of_elections),
    *(of_log_dirs, of_deleted_records, of_the_end),
)


@pytest.mark.timeout(300)
def test_every_tool_says_the_same_of_our_brokers(
    tools39: Tools, ours3: Cluster, apache3: Cluster, tmp_path: Path
) -> None:
    for chapter in STORY:
        ours, theirs = (Storyteller(tools39, cluster, tmp_path) for cluster in (ours3, apache3))
        chapter(ours)
        chapter(theirs)
        for (line, said), (_, expected) in zip(ours.heard, theirs.heard, strict=True):
            assert said == expected, line
