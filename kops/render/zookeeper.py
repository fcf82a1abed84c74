"""A znode's stat in the words of ZooKeeper's own shell (org.apache.zookeeper.cli.StatPrinter)."""

from collections.abc import Iterator
from datetime import datetime

from kops.cluster.zookeeper import Znode


def stat_lines(znode: Znode) -> Iterator[str]:
    yield f"cZxid = 0x{znode.czxid:x}"
    yield f"ctime = {_moment(znode.ctime)}"
    yield f"mZxid = 0x{znode.mzxid:x}"
    yield f"mtime = {_moment(znode.mtime)}"
    yield f"pZxid = 0x{znode.pzxid:x}"
    yield f"cversion = {znode.cversion}"
    yield f"dataVersion = {znode.version}"
    yield f"aclVersion = {znode.aversion}"
    yield f"ephemeralOwner = 0x{znode.ephemeral_owner:x}"
    yield f"dataLength = {znode.data_length}"
    yield f"numChildren = {znode.children}"


def _moment(milliseconds: int) -> str:
    """As java.util.Date prints it."""
    return datetime.fromtimestamp(milliseconds / 1000).astimezone().strftime("%a %b %d %H:%M:%S %Z %Y")
