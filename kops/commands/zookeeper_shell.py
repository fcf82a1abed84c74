"""ZooKeeper's shell on one connection, so that its ephemerals live (org.apache.zookeeper.ZooKeeperMain)."""

import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from kops.cluster import zookeeper
from kops.commands.run import Run
from kops.errors import BadUsage, Exit, translate
from kops.render.zookeeper import stat_lines

if TYPE_CHECKING:
    from kazoo.client import KazooClient

USAGE = {
    "ls": "ls [-s] [-R] path",
    "get": "get [-s] path",
    "stat": "stat path",
    "set": "set path data [version]",
    "create": "create [-s] [-e] path [data]",
    "delete": "delete path [version]",
    "deleteall": "deleteall path",
    "getAcl": "getAcl path",
    "addauth": "addauth scheme auth",
    "sync": "sync path",
    "help": "help",
    "quit": "quit",
}


class Shell:
    """Runs typed commands. ``execute`` raises; ``loop`` tells what went wrong and goes on."""

    def __init__(self, client: "KazooClient", run: Run) -> None:
        self.client = client
        self.run = run
        self.verbs: Mapping[str, Callable[[list[str]], None]] = {
            "ls": self.ls,
            "get": self.get,
            "stat": self.stat,
            "set": self.set,
            "create": self.create,
            "delete": self.delete,
            "rmr": self.deleteall,
            "deleteall": self.deleteall,
            "getAcl": self.get_acl,
            "addauth": self.addauth,
            "sync": self.sync,
            "help": self.help,
        }

    def loop(self, server: str) -> Exit:
        """Read commands until ``quit`` or the end of the input; a prompt where somebody types.

        Returns the exit code: of the last command that failed, where a script was read.
        """
        prompting, failed = sys.stdin.isatty(), Exit.DONE
        while True:
            if prompting:
                print(f"[zk: {server}] ", end="", file=sys.stderr, flush=True)
            line = sys.stdin.readline()
            if not line or line.strip() in ("quit", "exit", "close"):
                return failed
            try:
                self.execute(shlex.split(line))
            except Exception as error:
                known = translate(error)
                if known is None:
                    raise
                self.run.out.complain(known)
                failed = failed if prompting else known.exit

    def execute(self, words: Sequence[str]) -> None:
        """One command. Raises KopsError or kazoo's exceptions."""
        if not words:
            return
        verb, *rest = words
        if verb not in self.verbs:
            raise BadUsage(f"there is no command '{verb}'", f"One of: {', '.join(USAGE)}.")
        if verb in ("set", "create", "delete", "rmr", "deleteall"):
            self.run.change(verb)
        try:
            self.verbs[verb](rest)
        except (IndexError, ValueError) as error:
            raise BadUsage(f"{verb}: not understood", USAGE.get(verb, "")) from error
        sys.stdout.flush()

    def ls(self, words: list[str]) -> None:
        flags, (path,) = _split(words)
        path = zookeeper.check_path(path)
        if "-R" in flags:
            print(*zookeeper.tree(self.client, path), sep="\n")
            return
        print(f"[{', '.join(zookeeper.children(self.client, path))}]")
        if "-s" in flags:
            self.stat([path])

    def get(self, words: list[str]) -> None:
        flags, (path,) = _split(words)
        znode = zookeeper.get(self.client, zookeeper.check_path(path))
        print("null" if znode.data is None else znode.text)
        if "-s" in flags:
            print(*stat_lines(znode), sep="\n")

    def stat(self, words: list[str]) -> None:
        (path,) = words
        print(*stat_lines(zookeeper.get(self.client, zookeeper.check_path(path))), sep="\n")

    def set(self, words: list[str]) -> None:
        path, data, *version = words
        zookeeper.write(self.client, zookeeper.check_path(path), data.encode(), int(version[0]) if version else -1)

    def create(self, words: list[str]) -> None:
        flags, (path, *data) = _split(words)
        made = zookeeper.create(
            self.client,
            zookeeper.check_path(path),
            data[0].encode() if data else None,
            ephemeral="-e" in flags,
            sequence="-s" in flags,
        )
        print(f"Created {made}")

    def delete(self, words: list[str]) -> None:
        path, *version = words
        zookeeper.delete(self.client, zookeeper.check_path(path), int(version[0]) if version else -1)

    def deleteall(self, words: list[str]) -> None:
        (path,) = words
        zookeeper.delete(self.client, zookeeper.check_path(path), recursive=True)

    def get_acl(self, words: list[str]) -> None:
        (path,) = words
        acls, _ = self.client.get_acls(zookeeper.check_path(path))
        for acl in acls:
            print(f"'{acl.id.scheme},'{acl.id.id}\n: {_permissions(acl.perms)}")

    def addauth(self, words: list[str]) -> None:
        scheme, credentials = words
        self.client.add_auth(scheme, credentials)

    def sync(self, words: list[str]) -> None:
        (path,) = words
        self.client.sync(zookeeper.check_path(path))

    def help(self, _words: list[str]) -> None:
        print(*USAGE.values(), sep="\n")


def _split(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Flags, and the rest."""
    flags = [word for word in words if word.startswith("-") and not word.startswith("/")]
    return flags, [word for word in words if word not in flags]


def _permissions(bits: int) -> str:
    return "".join(letter for at, letter in enumerate("rwcda") if bits >> at & 1)
