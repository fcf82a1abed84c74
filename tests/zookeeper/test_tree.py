"""Plays for the data tree and the processor: requests in, replies and changes out."""

from __future__ import annotations

from typing import cast

import pytest

from broker.zookeeper.acl import SUPER, Identity, digest_id
from broker.zookeeper.messages import (
    OPEN_ACL,
    Acl,
    Acls,
    Code,
    Create2Reply,
    CreateRequest,
    CreateTtlRequest,
    MultiReply,
    MultiRequest,
    OpCode,
    PathReply,
    PathVersion,
    PathWatch,
    Record,
    SetAclRequest,
    SetDataRequest,
    StatReply,
)
from broker.zookeeper.processor import Outcome, Processor, Refused
from broker.zookeeper.tree import Tree

ME = 0x0100000000000001
NOBODY: list[Identity] = [("ip", "127.0.0.1")]


class Play:
    """A tree with one session; every line is a write."""

    def __init__(self, *, extended_types: bool = True, enforce_quota: bool = False) -> None:
        self.tree = Tree()
        self.processor = Processor(self.tree, extended_types=extended_types, enforce_quota=enforce_quota)
        self.identities = list(NOBODY)
        self.wall_ms = 1000
        self.processor.create_session(ME, 6000, self.wall_ms)

    def do(self, opcode: int, request: Record) -> Outcome:
        return self.processor.write(opcode, request, ME, 1, self.wall_ms, self.identities)

    def create(
        self, path: str, data: bytes | None = b"", flags: int = 0, acl: Acls | None = OPEN_ACL, op: int = OpCode.CREATE
    ) -> Outcome:
        return self.do(op, CreateRequest(path, data, acl, flags))

    def delete(self, path: str, version: int = -1) -> Outcome:
        return self.do(OpCode.DELETE, PathVersion(path, version))

    def set(self, path: str, data: bytes | None = b"", version: int = -1) -> Outcome:
        return self.do(OpCode.SET_DATA, SetDataRequest(path, data, version))

    def multi(self, *ops: tuple[int, Record]) -> Outcome:
        return self.do(OpCode.MULTI, MultiRequest(ops))


@pytest.fixture
def play() -> Play:
    return Play()


def heard(outcome: Outcome) -> list[tuple[int, str]]:
    return [(change.type, change.path) for change in outcome.changes]


def dump(tree: Tree) -> dict[str, object]:
    return {
        path: (node.data, node.acl, node.stat(), tuple(sorted(node.children or ())))
        for path, node in tree.nodes.items()
    }


def test_a_create_tells_the_node_and_then_its_parent(play: Play) -> None:
    assert heard(play.create("/a")) == [(1, "/a"), (4, "/")]
    assert heard(play.create("/a/b")) == [(1, "/a/b"), (4, "/a")]
    assert heard(play.delete("/a/b")) == [(2, "/a/b"), (4, "/a")]
    assert heard(play.set("/a", b"x")) == [(3, "/a")]


def test_stat_follows_the_rules_of_zookeeper(play: Play) -> None:
    play.create("/a", b"xyz")
    born = play.tree.nodes["/a"].stat()
    assert (born.czxid, born.mzxid, born.pzxid) == (2, 2, 2)
    play.create("/a/b")
    play.create("/a/c")
    play.delete("/a/b")
    play.wall_ms = 2000
    play.set("/a", b"12345")
    stat = play.tree.nodes["/a"].stat()
    assert (stat.version, stat.cversion, stat.num_children, stat.data_length) == (1, 3, 1, 5)
    assert (stat.czxid, stat.mzxid, stat.pzxid, stat.ctime, stat.mtime) == (2, 6, 5, 1000, 2000)


def test_sequence_numbers_count_creates_and_not_deletes(play: Play) -> None:
    play.create("/q")
    names = [cast("PathReply", play.create("/q/n-", flags=2).reply).path for _ in range(2)]
    play.create("/q/plain")
    play.delete(names[0])
    assert [*names, cast("PathReply", play.create("/q/n-", flags=2).reply).path] == [
        "/q/n-0000000000",
        "/q/n-0000000001",
        "/q/n-0000000003",
    ]
    assert cast("PathReply", play.create("/q/", flags=2).reply).path == "/q/0000000004"


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (CreateRequest("/a", b"", OPEN_ACL, 7), Code.BAD_ARGUMENTS),
        (CreateRequest("a", b"", OPEN_ACL, 0), Code.BAD_ARGUMENTS),
        (CreateRequest("/a\0", b"", OPEN_ACL, 0), Code.BAD_ARGUMENTS),
        (CreateRequest("/a", b"", (), 0), Code.INVALID_ACL),
        (CreateRequest("/a", b"", None, 0), Code.INVALID_ACL),
        (CreateRequest("/no/b", b"", (), 0), Code.INVALID_ACL),
        (CreateRequest("/no/b", b"", OPEN_ACL, 0), Code.NO_NODE),
        (CreateRequest("/t/", b"", OPEN_ACL, 0), Code.NO_NODE),
        (CreateRequest("/a/..", b"", OPEN_ACL, 0), Code.NO_NODE),
        (CreateRequest("/..", b"", OPEN_ACL, 0), Code.BAD_ARGUMENTS),
        (CreateRequest("/\U0001f600", b"", OPEN_ACL, 0), Code.BAD_ARGUMENTS),
        (CreateRequest("/zookeeper", b"", OPEN_ACL, 0), Code.NODE_EXISTS),
        (CreateRequest("/e/b", b"", OPEN_ACL, 0), Code.NO_CHILDREN_FOR_EPHEMERALS),
        (CreateRequest("/a", b"", OPEN_ACL, 5), Code.BAD_ARGUMENTS),
    ],
)
def test_a_create_is_refused_in_the_order_of_zookeeper(play: Play, request_: CreateRequest, code: Code) -> None:
    play.create("/e", flags=1)
    before, zxid = dump(play.tree), play.tree.last_zxid
    assert play.do(OpCode.CREATE, request_).err == code
    assert dump(play.tree) == before
    assert play.tree.last_zxid == zxid + 1, "a refused write takes a zxid too"


def test_valid_paths_are_accepted(play: Play) -> None:
    for path in ("/..x", "/a b", "/é", "/.a"):
        assert play.create(path).err == 0


def test_ttl_needs_the_setting_and_a_sane_value() -> None:
    play = Play(extended_types=False)
    assert play.do(OpCode.CREATE_TTL, CreateTtlRequest("/t", b"", OPEN_ACL, 5, 10)).err == Code.UNIMPLEMENTED
    play = Play()
    for flags, ttl in ((5, 0), (5, -1), (5, 2**40), (0, -1), (0, 5)):
        assert play.do(OpCode.CREATE_TTL, CreateTtlRequest("/t", b"", OPEN_ACL, flags, ttl)).err == Code.BAD_ARGUMENTS
    outcome = play.do(OpCode.CREATE_TTL, CreateTtlRequest("/t", b"", OPEN_ACL, 5, 500))
    assert cast("Create2Reply", outcome.reply).stat.ephemeral_owner == 0
    assert play.tree.nodes["/t"].ttl == 500


def test_ttl_nodes_go_when_childless_and_old_and_containers_after_their_last_child(play: Play) -> None:
    play.do(OpCode.CREATE_TTL, CreateTtlRequest("/t", b"", OPEN_ACL, 5, 500))
    play.create("/c", flags=4, op=OpCode.CREATE_CONTAINER)
    assert play.tree.overdue(10_000_000) == ["/t"], "a container that was never used stays"
    assert play.tree.overdue(1500) == []
    play.create("/t/x")
    play.create("/c/x")
    assert play.tree.overdue(10_000_000) == []
    play.delete("/t/x")
    play.delete("/c/x")
    play.wall_ms = 1400
    play.set("/t")
    assert play.tree.overdue(1800) == ["/c"], "a setData starts the TTL anew"
    play.processor.remove_overdue("/c", 1800)
    assert "/c" not in play.tree.nodes


def test_delete_checks_version_before_children(play: Play) -> None:
    play.create("/a")
    play.create("/a/b")
    assert play.delete("/a", 5).err == Code.BAD_VERSION
    assert play.delete("/a", -2).err == Code.BAD_VERSION
    assert play.delete("/a").err == Code.NOT_EMPTY
    assert play.delete("/no/b").err == Code.NO_NODE
    for path in ("/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"):
        assert play.delete(path).err == Code.BAD_ARGUMENTS


def test_null_and_empty_data_are_not_the_same(play: Play) -> None:
    play.create("/null", None)
    play.create("/empty", b"")
    assert play.processor.data("/null", NOBODY).data is None
    assert play.processor.data("/empty", NOBODY).data == b""


def test_closing_a_session_removes_its_ephemerals_with_one_zxid(play: Play) -> None:
    play.create("/p")
    play.create("/p/e1", flags=1)
    play.create("/p/e2", flags=1)
    outcome = play.processor.close_session(ME, 0, 1000)
    assert heard(outcome) == [(2, "/p/e1"), (4, "/p"), (2, "/p/e2"), (4, "/p")]
    assert play.tree.nodes["/p"].pzxid == outcome.header.zxid
    assert (play.tree.ephemerals, play.tree.sessions) == ({}, {})


def test_a_multi_sees_its_own_earlier_operations(play: Play) -> None:
    play.create("/q")
    outcome = play.multi(
        (OpCode.CREATE, CreateRequest("/m", b"1", OPEN_ACL, 0)),
        (OpCode.SET_DATA, SetDataRequest("/m", b"2", 0)),
        (OpCode.CHECK, PathVersion("/m", 1)),
        (OpCode.CREATE2, CreateRequest("/q/n", b"", OPEN_ACL, 2)),
        (OpCode.CREATE, CreateRequest("/q/n", b"", OPEN_ACL, 2)),
        (OpCode.CREATE_CONTAINER, CreateRequest("/c", b"", OPEN_ACL, 4)),
        (OpCode.DELETE, PathVersion("/m", 1)),
    )
    results = cast("MultiReply", outcome.reply).results
    assert [kind for kind, _ in results] == [1, 5, 13, 1, 1, 15, 2]
    assert isinstance(results[1][1], StatReply)
    assert cast("PathReply", results[4][1]).path == "/q/n0000000001"
    assert {node.czxid for path, node in play.tree.nodes.items() if path.startswith("/q/")} == {outcome.header.zxid}


def test_a_refused_multi_changes_nothing(play: Play) -> None:
    play.create("/a", b"1")
    play.create("/a/e", flags=1)
    before = dump(play.tree)
    outcome = play.multi(
        (OpCode.CREATE, CreateRequest("/x", b"", OPEN_ACL, 1)),
        (OpCode.SET_DATA, SetDataRequest("/a", b"2", 0)),
        (OpCode.DELETE, PathVersion("/a/e", -1)),
        (OpCode.CREATE, CreateRequest("/a/f", b"", OPEN_ACL, 0)),
        (OpCode.CHECK, PathVersion("/gone", -1)),
        (OpCode.DELETE, PathVersion("/a", -1)),
    )
    assert outcome.err == 0
    assert outcome.changes == ()
    assert [(kind, record.encode()) for kind, record in cast("MultiReply", outcome.reply).results] == [
        (-1, code.to_bytes(4, "big", signed=True)) for code in (0, 0, 0, 0, -101, -2)
    ]
    assert dump(play.tree) == before
    assert play.tree.ephemerals_of(ME) == ("/a/e",)


def test_an_empty_multi_is_fine(play: Play) -> None:
    assert play.multi().reply == MultiReply(())


def test_multi_read_answers_each_on_its_own(play: Play) -> None:
    play.create("/a", b"x")
    reads = MultiRequest(((OpCode.GET_DATA, PathWatch("/a", False)), (OpCode.GET_CHILDREN, PathWatch("/no", False))))
    assert [kind for kind, _ in play.processor.multi_read(reads, NOBODY).results] == [4, -1]


def test_digests_are_those_of_zookeeper() -> None:
    assert digest_id("joe:secret") == "joe:oesAybBun9icKJjQSTRN8OBueSc="


def test_acls_let_in_who_is_named(play: Play) -> None:
    joe: Identity = ("digest", digest_id("joe:secret"))
    play.identities = [*NOBODY, joe]
    assert play.create("/j", acl=(Acl(31, "auth", ""),)).err == 0
    assert play.tree.nodes["/j"].acl == (Acl(31, *joe),)
    with pytest.raises(Refused) as refused:
        play.processor.data("/j", NOBODY)
    assert refused.value.code == Code.NO_AUTH
    assert play.processor.data("/j", [joe]).data == b""
    assert play.processor.data("/j", [SUPER]).data == b""
    play.identities = list(NOBODY)
    assert play.set("/j").err == Code.NO_AUTH
    assert play.create("/j/x").err == Code.NO_AUTH
    assert play.create("/k", acl=(Acl(31, "auth", ""),)).err == Code.INVALID_ACL
    assert play.delete("/j").err == 0, "delete asks the parent"


@pytest.mark.parametrize(
    ("acl", "valid"),
    [
        (Acl(31, "world", "anyone"), True),
        (Acl(31, "world", "x"), False),
        (Acl(31, "digest", "a:b"), True),
        (Acl(31, "digest", "a"), False),
        (Acl(31, "digest", "a:b:c"), False),
        (Acl(31, "ip", "10.0.0.0/8"), True),
        (Acl(31, "ip", "10.0.0.0/99"), False),
        (Acl(31, "nonsense", "x"), False),
    ],
)
def test_malformed_acls_are_refused(play: Play, acl: Acl, valid: bool) -> None:
    assert play.create("/n", acl=(acl, acl)).err == (0 if valid else Code.INVALID_ACL)
    if valid:
        assert play.tree.nodes["/n"].acl == (acl,), "duplicates are kept once"


def test_get_acl_masks_digests_for_who_is_no_admin(play: Play) -> None:
    play.create("/n", acl=(Acl(1, "world", "anyone"), Acl(31, "digest", "joe:hash")))
    assert play.processor.acl("/n", NOBODY).acl == (Acl(1, "world", "anyone"), Acl(31, "digest", "joe:x"))
    assert play.processor.acl("/n", [("digest", "joe:hash")]).acl == play.tree.nodes["/n"].acl


def test_set_acl_counts_aversion_and_leaves_mzxid_alone(play: Play) -> None:
    play.create("/n")
    play.do(OpCode.SET_ACL, SetAclRequest("/n", (Acl(1, "world", "anyone"),), 0))
    stat = play.tree.nodes["/n"].stat()
    assert (stat.aversion, stat.version, stat.mzxid) == (1, 0, stat.czxid)
    assert play.do(OpCode.SET_ACL, SetAclRequest("/n", OPEN_ACL, 1)).err == Code.NO_AUTH


def test_hard_quotas_refuse_where_they_are_enforced() -> None:
    play = Play(enforce_quota=True)
    play.create("/app", b"12")
    play.create("/zookeeper/quota/app")
    play.create("/zookeeper/quota/app/zookeeper_limits", b"count=-1,bytes=-1;byteHardLimit=10;countHardLimit=3")
    play.create("/zookeeper/quota/app/zookeeper_stats", b"")
    assert play.tree.nodes["/zookeeper/quota/app/zookeeper_stats"].data == b"count=1,bytes=2"
    assert play.create("/app/a", b"123").err == 0
    assert play.create("/app/b", b"123456").err == Code.QUOTA_EXCEEDED
    assert play.create("/app/b", b"").err == 0
    assert play.create("/app/c", b"").err == Code.QUOTA_EXCEEDED
    assert play.set("/app/a", b"12345678").err == 0
    assert play.set("/app/a", b"123456789").err == Code.QUOTA_EXCEEDED
    play.delete("/app/a")
    assert play.tree.nodes["/zookeeper/quota/app/zookeeper_stats"].data == b"count=2,bytes=2"
    assert play.create("/elsewhere", b"x" * 100).err == 0


def test_a_refused_multi_leaves_the_quota_as_it_was() -> None:
    play = Play(enforce_quota=True)
    play.create("/app", b"12")
    play.create("/zookeeper/quota/app")
    play.create("/zookeeper/quota/app/zookeeper_limits", b"count=9,bytes=-1")
    play.create("/zookeeper/quota/app/zookeeper_stats", b"")
    play.multi(
        (OpCode.CREATE, CreateRequest("/app/x", b"123", OPEN_ACL, 0)),
        (OpCode.DELETE, PathVersion("/app/x", -1)),
        (OpCode.SET_DATA, SetDataRequest("/app", b"12345", -1)),
        (OpCode.CHECK, PathVersion("/gone", 0)),
    )
    assert play.tree.nodes["/zookeeper/quota/app/zookeeper_stats"].data == b"count=1,bytes=2"


def test_replay_of_what_is_already_there_changes_nothing(play: Play) -> None:
    log = [
        play.create("/a", b"1"),
        play.create("/a/b", flags=1),
        play.set("/a", b"2"),
        play.create("/a/c"),
        play.delete("/a/c"),
        play.processor.close_session(ME, 0, 1000),
    ]
    after = dump(play.tree)
    for outcome in log:
        play.tree.apply(outcome.header, outcome.txn)
    state = dump(play.tree)
    assert state["/a"] == after["/a"]
    assert set(state) == set(after)
