"""Apache's command-line tools, all in one JVM: a tool then costs a tenth of a second, and not one or two."""

import subprocess
from pathlib import Path
from types import TracebackType

from tests.interop.apache import Apache

TOPICS = "org.apache.kafka.tools.TopicCommand"
CONFIGS = "kafka.admin.ConfigCommand"
REASSIGN = "org.apache.kafka.tools.reassign.ReassignPartitionsCommand"
ELECTION = "org.apache.kafka.tools.LeaderElectionCommand"
LOG_DIRS = "org.apache.kafka.tools.LogDirsCommand"
DELETE_RECORDS = "org.apache.kafka.tools.DeleteRecordsCommand"
OFFSETS = "org.apache.kafka.tools.GetOffsetShell"
TOPICS_26 = "kafka.admin.TopicCommand"
REASSIGN_26 = "kafka.admin.ReassignPartitionsCommand"
PREFERRED_26 = "kafka.admin.PreferredReplicaLeaderElectionCommand"


class Tools:
    """Use as ``with Tools(apache) as tools``; ``tools(TOPICS, "--list", ...)`` is what the tool said."""

    def __init__(self, apache: Apache) -> None:
        words = apache.words(str(Path(__file__).with_name("Tools.java")))
        self._java = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.ended = 0
        """The exit status of the last one."""

    def __enter__(self) -> "Tools":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._java.kill()
        self._java.communicate()

    def __call__(self, tool: str, *arguments: str, code: int | None = 0) -> str:
        """Both of its outputs together. Fails the test when it does not end with ``code`` (None: however it ends)."""
        assert self._java.stdin is not None
        assert self._java.stdout is not None
        self._java.stdin.write(("\t".join((tool, *arguments)) + "\n").encode())
        self._java.stdin.flush()
        status, length = self._java.stdout.readline().split()
        said = self._java.stdout.read(int(length)).decode()
        self.ended = int(status)
        assert code in (None, self.ended), f"{tool} {' '.join(arguments)} ended with {self.ended}: {said}"
        return said
