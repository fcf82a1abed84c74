"""Apache ZooKeeper starts on our data directory and we on its; its own shell works on our server."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from kazoo.client import KazooClient
from kazoo.security import make_digest_acl

from tests.zookeeper.processes import Process, missing_for_apache, wait_until

pytestmark = [
    pytest.mark.skipif(missing_for_apache() is not None, reason=f"no Apache ZooKeeper: {missing_for_apache()}"),
    pytest.mark.timeout(120),
]

COMMANDS = """\
create /a hello
ls /
get /a
set /a world
stat /a
create -s -e /a/e x
create -c /c x
create -t 5000 /t x
addWatch -m PERSISTENT_RECURSIVE /a
create /a/w x
getAllChildrenNumber /
getEphemerals /
whoami
addauth digest joe:secret
setAcl /a auth:joe:secret:cdrwa
getAcl /a
setquota -n 10 /a
listquota /a
removewatches /a
deleteall /a
ls /
sync /
quit
"""

EXPECTED = """\
Created /a
hello
[a, zookeeper]
dataVersion = 1
Created /a/e0000000000
Created /c
Created /t
NodeCreated path:/a/w
'digest,'joe:oesAybBun9icKJjQSTRN8OBueSc=
count=10
[c, t, zookeeper]
Sync is OK
"""


def fill(address: str) -> KazooClient:
    """Everything that a log can hold; the client stays, with its ephemeral node."""
    client = KazooClient(address, timeout=10)
    client.start(15)
    client.create("/plain", b"data")
    client.create("/plain/empty", b"")
    client.create("/acl", b"secret", acl=[make_digest_acl("joe", "secret", all=True)])
    client.create("/queue")
    for _ in range(3):
        client.create("/queue/n-", b"", sequence=True)
    client.delete("/queue/n-0000000001")
    client.set("/plain", b"changed")
    client.set_acls("/queue", [make_digest_acl("ann", "x", all=True), *client.get_acls("/plain")[0]])
    transaction = client.transaction()
    transaction.create("/multi", b"1")
    transaction.set_data("/multi", b"2")
    transaction.check("/plain", 1)
    assert not any(isinstance(result, Exception) for result in transaction.commit())
    refused = client.transaction()
    refused.create("/never")
    refused.check("/gone", 1)
    refused.commit()
    client.create("/ephemeral", b"here", ephemeral=True)
    for index in range(300):
        client.create_async(f"/bulk-{index}", b"x" * index)
    client.sync("/")
    return client


def content(address: str) -> dict[str, object]:
    client = KazooClient(address, timeout=10, auth_data=[("digest", "joe:secret"), ("digest", "ann:x")])
    client.start(15)
    try:
        found: dict[str, object] = {}
        todo = ["/"]
        while todo:
            path = todo.pop()
            data, stat = client.get(path)
            if not path.startswith("/zookeeper"):
                found[path] = (data, stat if path != "/" else None, sorted(map(str, client.get_acls(path)[0])))
            todo += [path.rstrip("/") + "/" + name for name in client.get_children(path)]
        return found
    finally:
        client.stop()
        client.close()


@pytest.mark.parametrize("ours_first", [True, False], ids=["ours then Apache", "Apache then ours"])
def test_the_data_directory_can_be_swapped(tmp_path: Path, ours_first: bool) -> None:
    with Process(tmp_path, apache=not ours_first) as first:
        client = fill(first.address)
        before = content(first.address)
        first.kill()
        client.stop()
        client.close()
    assert len(before) > 300
    with Process(tmp_path, apache=ours_first) as second:
        after = content(second.address)
        assert after == before
        again = KazooClient(second.address)
        again.start(15)
        assert again.create("/queue/n-", b"", sequence=True) == "/queue/n-0000000003"
        again.stop()
        again.close()
    with Process(tmp_path, apache=not ours_first) as third:
        assert "/queue/n-0000000003" in content(third.address)


def test_a_snapshot_of_ours_is_read_by_apache(tmp_path: Path) -> None:
    with Process(tmp_path, "snapCount=100") as first:
        client = fill(first.address)
        before = content(first.address)
        client.stop()
        client.close()
        data = tmp_path / "data" / "version-2"
        wait_until(lambda: {path.name for path in data.glob("snapshot.*")} - {"snapshot.0"}, "a snapshot")
    del before["/ephemeral"]
    with Process(tmp_path, apache=True) as second:
        assert content(second.address) == before


def test_its_shell_works_on_our_server(tmp_path: Path) -> None:
    shell = Path("/usr/share/zookeeper/bin/zkCli.sh")
    if not shell.exists() or shutil.which("bash") is None:
        pytest.skip(f"{shell} is missing")
    with Process(tmp_path, "extendedTypesEnabled=true") as server:
        done = subprocess.run(
            ["bash", str(shell), "-server", server.address],
            input=COMMANDS, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    said = done.stdout + done.stderr
    for expected in EXPECTED.splitlines():
        assert expected in said, said
