"""Log directories of brokers on this machine: whose they are, what they hold of a topic, and removing it (LogManager).

Opened are only those of servers that kops knows and those that the user names. Kafka's own lock file says whether a
broker runs on a directory; whoever removes something holds that lock, so that no broker can start meanwhile.
"""

import glob
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kops.errors import BadUsage, Failed, KopsError, NotFound, Refused
from kops.local import properties, state
from kops.local.state import BROKER

REPLICA, DELETE, FUTURE, STRAY = "replica", "delete", "future", "stray"
CHECKPOINTS = (
    "replication-offset-checkpoint",
    "recovery-point-offset-checkpoint",
    "log-start-offset-checkpoint",
    "cleaner-offset-checkpoint",
)
_NAME = re.compile(r"(?P<topic>.+)-(?P<partition>\d+)(\.[0-9a-f]{32}-(?P<kind>delete|future|stray))?")
_LONGEST = 255
_LOG, _GONE = ".log", " (deleted)"


@dataclass(frozen=True, slots=True)
class DataDir:
    """One of a broker's ``log.dirs``. ``broker`` -1 and no ``cluster_id``: nothing ever started on it."""

    path: str
    broker: int
    cluster_id: str | None

    @property
    def running(self) -> bool:
        """Whether a broker, whoever's it is, runs on it now."""
        try:
            with held(self.path):
                return False
        except Refused:
            return True


@dataclass(frozen=True, slots=True)
class PartitionDir:
    """A partition's directory. ``kind``: replica, or what its suffix says; ``topic_id`` from partition.metadata."""

    path: str
    topic: str
    partition: int
    kind: str = REPLICA
    topic_id: str | None = None

    @property
    def name(self) -> str:
        return os.path.basename(self.path)


@dataclass(frozen=True, slots=True)
class CheckpointLine:
    """A line of a checkpoint file that names a partition."""

    file: str
    topic: str
    partition: int
    offset: int


def of_cluster(cluster_id: str | None, given: Sequence[str] = ()) -> list[DataDir]:
    """The directories of this cluster's brokers: those of servers that kops knows, and those the user names.

    Raises NotFound for a given path that is not there, Refused for one that belongs to another cluster.
    """
    found: dict[str, DataDir] = {}
    for path in given:
        one = opened(path)
        if one.cluster_id is not None and cluster_id is not None and one.cluster_id != cluster_id:
            raise Refused(
                f"{path} belongs to cluster {one.cluster_id}, not to {cluster_id}", "Name directories of this cluster."
            )
        found[os.path.realpath(path)] = one
    for path in _known():
        known = _used(path)
        if known is not None and cluster_id is not None and known.cluster_id == cluster_id:
            found.setdefault(os.path.realpath(path), known)
    return sorted(found.values(), key=lambda one: (one.broker, one.path))


def of_servers(cluster: str | None) -> list[DataDir]:
    """The directories of the brokers of a cluster that kops made, whatever cluster id they have."""
    return [one for path in _known(cluster) if (one := _used(path))] if cluster else []


def _used(path: str) -> DataDir | None:
    """None for what is not there (yet), or is no log directory."""
    try:
        return opened(path)
    except KopsError:
        return None


def _known(cluster: str | None = None) -> Iterator[str]:
    """``log.dirs`` of every broker that kops remembers; of one whose file is gone nothing is known."""
    for server in state.servers(cluster):
        if server.kind != BROKER:
            continue
        try:
            file = properties.broker_file(server.file, server.overrides)
        except KopsError:
            continue
        yield from (os.path.join(server.folder, path) for path in file.log_dirs)


def opened(path: str) -> DataDir:
    """Raises NotFound where there is no such directory, BadUsage for one that no broker has used."""
    if not os.path.isdir(path):
        raise NotFound(f"there is no directory {path}", "--data-dir names one of a broker's log.dirs.")
    meta = Path(path) / "meta.properties"
    if not meta.is_file():
        if any(_NAME.fullmatch(name) for name in os.listdir(path)) or not os.listdir(path):
            return DataDir(path, -1, None)
        raise BadUsage(f"{path} is no log directory: it has no meta.properties", "Name one of a broker's log.dirs.")
    content = properties.read(str(meta))
    return DataDir(path, int(content.get("broker.id", "-1")), content.get("cluster.id"))


def partition_dirs(path: str, topic: str | None = None) -> list[PartitionDir]:
    """Directories of ``topic`` (of every topic when None) in a log directory, whatever their suffix."""
    found = []
    for name in sorted(os.listdir(path)):
        match = _NAME.fullmatch(name)
        whole = os.path.join(path, name)
        if match is None or not os.path.isdir(whole):
            continue
        kind = match["kind"] or REPLICA
        # Kafka cuts long topics so that the suffix fits.
        cut = len(name) == _LONGEST and kind != REPLICA and topic is not None and topic.startswith(match["topic"])
        if topic is None or match["topic"] == topic or cut:
            found.append(PartitionDir(whole, topic or match["topic"], int(match["partition"]), kind, _topic_id(whole)))
    return found


def _topic_id(folder: str) -> str | None:
    """As 22 characters of base64url; None where the file is not there or cannot be read."""
    try:
        text = (Path(folder) / "partition.metadata").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    fields = dict(line.partition(":")[::2] for line in text.splitlines())
    return fields.get("topic_id", "").strip() or None


def checkpoint_lines(path: str, topic: str | None = None) -> list[CheckpointLine]:
    """Lines of the checkpoint files that name ``topic`` (every line when None). Raises Failed for a damaged file."""
    from broker.host.files import RealFiles
    from broker.storage.checkpoints import CheckpointCorrupt, read_offsets

    found = []
    for name in CHECKPOINTS:
        file = os.path.join(path, name)
        try:
            offsets = read_offsets(RealFiles(), file)
        except CheckpointCorrupt as error:
            raise Failed(str(error), "A broker takes this directory offline: see its log.", subject=file) from error
        found += [
            CheckpointLine(name, t, p, offset) for (t, p), offset in sorted(offsets.items()) if topic in (None, t)
        ]
    return found


@contextmanager
def held(path: str) -> Iterator[None]:
    """With the lock that a broker takes on its directory (POSIX, as Java's FileChannel). Raises Refused when taken."""
    import fcntl

    file = os.path.join(path, ".lock")
    try:
        handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
    except PermissionError as error:
        raise Refused(f"cannot open {file}: {error.strerror}", "Ask as the user that the broker runs as.") from error
    try:
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Refused(f"a broker runs on {path}", "Stop it first.", subject=path) from error
        yield
    finally:
        os.close(handle)


def remove(found: PartitionDir, *, let_go: bool = False) -> None:
    """Remove a partition's directory: under the lock of a broker that is stopped, or one that a broker has let go of.

    Raises Refused when a broker runs on it and has not let go, Failed when something stays.
    """
    if let_go:
        _remove(found)
        return
    with held(os.path.dirname(found.path)):
        _remove(found)


def restore(path: str, name: str) -> None:
    """Make the partition directory ``name`` again, with empty files for those that a broker still has open.

    Somebody removed it under a running broker. Apache's renames the directory and every segment before it deletes
    them, and takes the whole log directory offline when one is not there. Raises Refused when the files that the
    broker has open cannot be seen: then deleting the topic would cost the broker its disk.
    """
    folder = os.path.join(path, name)
    held = _open_below(path + os.sep)
    if not held:
        raise Refused(
            f"{folder} was removed under a running broker, which cannot delete it any more",
            "Start that broker again first: it makes the directory anew.",
            subject=folder,
        )
    os.makedirs(folder, exist_ok=True)
    removed = {file.removesuffix(_GONE) for file in held if file.endswith(_LOG + _GONE)}
    for base in sorted(os.path.basename(file)[: -len(_LOG)] for file in removed if os.path.dirname(file) == folder):
        for suffix in (_LOG, ".index", ".timeindex"):
            with open(os.path.join(folder, base + suffix), "ab"):
                pass


def _open_below(prefix: str) -> set[str]:
    """Files that processes have open there (Linux); those that were removed meanwhile end with `` (deleted)``."""
    found = set()
    for handle in glob.iglob("/proc/[0-9]*/fd/*"):
        try:
            target = os.readlink(handle)
        except OSError:  # closed meanwhile, or somebody else's process
            continue
        if target.startswith(prefix):
            found.add(target)
    return found


def _remove(found: PartitionDir) -> None:
    shutil.rmtree(found.path, ignore_errors=True)
    if os.path.exists(found.path):
        raise Failed(f"{found.path} could not be removed", "See its owner and permissions.", subject=found.path)
    handle = os.open(os.path.dirname(found.path), os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
