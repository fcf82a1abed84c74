"""A server on real sockets and files, spoken to byte by byte."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_asyncio

from broker.host import Host, real_host
from broker.zookeeper.config import ZooKeeperConfig
from broker.zookeeper.messages import (
    OPEN_ACL,
    Acl,
    AuthRequest,
    ChildrenReply,
    Code,
    Create2Reply,
    CreateRequest,
    DataReply,
    ErrorResult,
    IntReply,
    MultiReply,
    MultiRequest,
    OpCode,
    PathMode,
    PathOnly,
    PathReply,
    PathVersion,
    PathWatch,
    SetDataRequest,
    SetWatchesRequest,
    WatcherEvent,
    WhoAmIReply,
    encode_request,
)
from broker.zookeeper.server import ZooKeeperServer
from tests.zookeeper.wire import Answer, Closed, Wire

Start = Callable[..., Any]


@pytest_asyncio.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Start a server on this test's directory; all are stopped at the end."""
    running: list[ZooKeeperServer] = []

    async def begin(host: Host | None = None, **settings: str) -> ZooKeeperServer:
        base = {
            "dataDir": str(tmp_path / "data"),
            "clientPort": "0",
            "clientPortAddress": "127.0.0.1",
            "tickTime": "100",
        }
        named = {name.replace("_", "."): value for name, value in settings.items()}
        server = ZooKeeperServer(host or real_host(), ZooKeeperConfig.of({**base, **named}))
        await server.start()
        running.append(server)
        return server

    yield begin
    for server in running:
        await server.stop()


def event(answer: Answer) -> tuple[int, str]:
    body = cast("WatcherEvent", answer.body)
    assert (answer.xid, answer.zxid, answer.err, body.state) == (-1, -1, 0, 3)
    return body.type, body.path


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


# --- handshake and sessions ---


@pytest.mark.parametrize(("asked", "given"), [(1, 200), (-5, 200), (10**9, 2000), (700, 700)])
async def test_the_time_out_is_negotiated(start: Start, asked: int, given: int) -> None:
    server = await start()
    async with Wire(server.port) as wire:
        assert (await wire.connect(timeout_ms=asked)).timeout_ms == given


async def test_an_old_client_without_the_read_only_flag_gets_none(start: Start) -> None:
    server = await start()
    async with Wire(server.port) as wire:
        assert (await wire.connect(read_only=None)).read_only is None


async def test_a_session_comes_back_on_another_connection_and_the_old_one_is_closed(start: Start) -> None:
    server = await start()
    async with Wire(server.port) as old, Wire(server.port) as new:
        first = await old.connect(timeout_ms=1000)
        await old.create("/e", flags=1)
        again = await new.connect(first.session_id, first.password, timeout_ms=500)
        assert (again.session_id, again.password, again.timeout_ms) == (first.session_id, first.password, 500)
        with pytest.raises(Closed):
            await old.frame()
        assert (await new.exists("/e")).err == 0


async def test_a_wrong_password_is_refused_and_does_not_disturb_the_owner(start: Start) -> None:
    server = await start()
    async with Wire(server.port) as owner, Wire(server.port) as thief:
        first = await owner.connect()
        refused = await thief.connect(first.session_id, b"x" * 16)
        assert (refused.timeout_ms, refused.session_id, refused.password) == (0, 0, bytes(16))
        with pytest.raises(Closed):
            await thief.frame()
        assert (await owner.exists("/")).err == 0


async def test_a_client_that_has_seen_more_than_we_have_is_turned_away(start: Start) -> None:
    server = await start()
    async with Wire(server.port) as wire:
        with pytest.raises(Closed):
            await wire.connect(zxid=1000)


async def test_a_silent_session_expires_on_time_and_its_ephemerals_go(start: Start) -> None:
    server = await start()
    loop = asyncio.get_running_loop()
    async with Wire(server.port) as silent, Wire(server.port) as witness:
        await witness.connect(timeout_ms=2000)
        session = await silent.connect(timeout_ms=300)
        began = loop.time()
        await silent.create("/e", flags=1)
        await witness.exists("/e", watch=True)
        assert event(await witness.answer()) == (2, "/e")
        took = loop.time() - began
        assert 0.3 <= took < 1.0
        with pytest.raises(Closed):
            await silent.frame()
        async with Wire(server.port) as back:
            assert (await back.connect(session.session_id, session.password)).timeout_ms == 0


async def test_pings_keep_a_session_and_a_lost_socket_does_not_end_it(start: Start) -> None:
    server = await start()
    async with Wire(server.port) as wire:
        session = await wire.connect(timeout_ms=400)
        await wire.create("/e", flags=1)
        for _ in range(4):
            await asyncio.sleep(0.15)
            assert (await wire.ask(OpCode.PING, xid=-2)).err == 0
    async with Wire(server.port) as back:
        assert (await back.connect(session.session_id, session.password)).timeout_ms > 0
        assert (await back.exists("/e")).err == 0


async def test_closing_a_session_answers_then_closes(start: Start) -> None:
    server = await start()
    async with Wire(server.port) as wire:
        await wire.connect()
        await wire.create("/e", flags=1)
        assert (await wire.ask(OpCode.CLOSE_SESSION)).err == 0
        with pytest.raises(Closed):
            await wire.frame()
    assert "/e" not in server.tree.nodes
    assert len(server.sessions) == 0


async def test_sessions_and_ephemerals_survive_a_restart(start: Start) -> None:
    server = await start()
    async with Wire(server.port) as wire:
        session = await wire.connect(timeout_ms=2000)
        await wire.create("/e", flags=1)
    await server.stop()
    server = await start()
    assert "/e" in server.tree.nodes
    async with Wire(server.port) as back, Wire(server.port) as other:
        assert (await back.connect(session.session_id, session.password)).session_id == session.session_id
        assert (await other.connect()).session_id > session.session_id


# --- order ---


async def test_replies_come_in_the_order_of_the_requests(start: Start) -> None:
    server = await start()
    async with Wire(server.port) as wire:
        await wire.connect()
        sent = [wire.send(OpCode.CREATE, CreateRequest(f"/n{index}", b"", OPEN_ACL, 0)) for index in range(20)]
        sent.append(wire.send(OpCode.PING, xid=-2))
        sent.append(wire.send(OpCode.GET_DATA, PathWatch("/n19", False)))
        answers = [await wire.answer() for _ in sent]
        assert [answer.xid for answer in answers] == sent
        assert all(answer.err == 0 for answer in answers), "a write is visible to the next request"
        zxids = [answer.zxid for answer in answers]
        assert zxids == sorted(zxids)


async def test_an_event_comes_before_the_reply_to_the_write_that_caused_it(start: Start) -> None:
    server = await start()
    async with Wire(server.port) as wire:
        await wire.connect()
        await wire.create("/a")
        await wire.get("/a", watch=True)
        xid = wire.send(OpCode.SET_DATA, SetDataRequest("/a", b"x", -1))
        assert event(await wire.answer()) == (3, "/a")
        assert (await wire.answer()).xid == xid


async def test_an_event_comes_before_any_reply_that_shows_the_change(start: Start) -> None:
    server = await start()
    async with Wire(server.port) as writer, Wire(server.port) as watcher:
        await writer.connect()
        await watcher.connect()
        await writer.create("/a")
        for round_ in range(30):
            seen = cast("DataReply", (await watcher.get("/a", watch=True)).body).stat.version
            assert seen == round_
            writer.send(OpCode.SET_DATA, SetDataRequest("/a", b"x", -1))
            told = False
            while True:
                watcher.send(OpCode.GET_DATA, PathWatch("/a", False))
                answer = await watcher.answer()
                if answer.xid == -1:
                    told = True
                    answer = await watcher.answer()
                if cast("DataReply", answer.body).stat.version > round_:
                    assert told
                    break
            await writer.answer()


async def test_a_sync_that_takes_long_holds_back_what_it_covers_and_nothing_else(start: Start) -> None:
    gate = asyncio.Event()
    gate.set()
    server = await start(host=failing_host(gate=gate))
    async with Wire(server.port) as writer, Wire(server.port) as reader, Wire(server.port) as pinger:
        for wire in (writer, reader, pinger):
            await wire.connect()
        await writer.create("/a", b"old")
        gate.clear()
        writer.send(OpCode.SET_DATA, SetDataRequest("/a", b"x", -1))
        writer.send(OpCode.PING, xid=-2)
        await until(lambda: server.outstanding > 0)
        reader.send(OpCode.GET_DATA, PathWatch("/a", False))
        assert (await pinger.ask(OpCode.PING, xid=-2)).zxid == server.durable_zxid
        await until(lambda: server.outstanding == 3)
        gate.set()
        assert [(await writer.answer()).xid for _ in range(2)] == [2, -2]
        assert cast("DataReply", (await reader.answer()).body).data == b"x"


# --- operations ---


async def test_every_kind_of_create_answers_in_its_own_shape(start: Start) -> None:
    server = await start()
    async with Wire(server.port) as wire:
        await wire.connect()
        plain = await wire.create("/a", None)
        assert plain.body == PathReply("/a")
        second = await wire.ask(OpCode.CREATE2, CreateRequest("/b", b"12", OPEN_ACL, 0))
        assert cast("Create2Reply", second.body).stat.data_length == 2
        container = await wire.ask(OpCode.CREATE_CONTAINER, CreateRequest("/c", b"", OPEN_ACL, 4))
        assert cast("Create2Reply", container.body).stat.ephemeral_owner == 0
        assert cast("DataReply", (await wire.get("/a")).body).data is None


async def test_containers_and_ttl_nodes_are_cleaned_up(start: Start) -> None:
    server = await start(extendedTypesEnabled="true", znode_container_checkIntervalMs="30")
    async with Wire(server.port) as wire:
        await wire.connect()
        await wire.ask(OpCode.CREATE_CONTAINER, CreateRequest("/c", b"", OPEN_ACL, 4))
        await wire.create("/c/x")
        await wire.ask(OpCode.DELETE, PathVersion("/c/x", -1))
        await until(lambda: "/c" not in server.tree.nodes)


async def test_a_bare_check_and_internal_operations_are_refused_and_harm_nothing(start: Start) -> None:
    server = await start()
    async with Wire(server.port) as wire:
        await wire.connect()
        for opcode in (OpCode.CHECK, OpCode.DELETE_CONTAINER, OpCode.CREATE_SESSION):
            assert (await wire.ask(opcode, PathVersion("/", 0))).err == Code.UNIMPLEMENTED
        assert (await wire.exists("/")).err == 0
    await server.stop()
    await start()


async def test_an_unknown_operation_closes_the_connection_and_keeps_the_session(start: Start) -> None:
    server = await start()
    async with Wire(server.port) as wire, Wire(server.port) as back:
        session = await wire.connect()
        assert (await wire.ask(999)).err == Code.UNIMPLEMENTED
        with pytest.raises(Closed):
            await wire.frame()
        assert (await back.connect(session.session_id, session.password)).timeout_ms > 0


async def test_missing_bytes_are_a_marshalling_error_and_the_session_lives(start: Start) -> None:
    server = await start()
    async with Wire(server.port) as wire:
        await wire.connect()
        for opcode in (OpCode.CREATE, OpCode.GET_DATA, OpCode.MULTI, OpCode.SET_ACL):
            assert (await wire.ask(opcode)).err == Code.MARSHALLING_ERROR
        mixed = MultiRequest(((OpCode.GET_DATA, PathWatch("/", False)),))
        assert (await wire.ask(OpCode.MULTI, mixed)).err == Code.MARSHALLING_ERROR
        assert (await wire.exists("/")).err == 0


async def test_trailing_bytes_are_ignored(start: Start) -> None:
    server = await start()
    async with Wire(server.port) as wire:
        await wire.connect()
        wire.pending[7] = OpCode.EXISTS
        body = encode_request(7, OpCode.EXISTS, PathWatch("/", False))[4:] + b"more"
        wire.raw(len(body).to_bytes(4, "big") + body)
        assert (await wire.answer()).err == 0


async def test_reconfig_is_disabled(start: Start) -> None:
    server = await start()
    async with Wire(server.port) as wire:
        await wire.connect()
        assert (await wire.ask(OpCode.RECONFIG)).err == Code.RECONFIG_DISABLED


async def test_small_operations(start: Start) -> None:
    server = await start()
    async with Wire(server.port) as wire:
        await wire.connect()
        await wire.create("/a")
        await wire.create("/a/e", flags=1)
        assert (await wire.ask(OpCode.SYNC, PathOnly("/not/there"))).body == PathReply("/not/there")
        assert (await wire.ask(OpCode.GET_ALL_CHILDREN_NUMBER, PathOnly("/"))).body == IntReply(5)
        assert (await wire.ask(OpCode.GET_EPHEMERALS, PathOnly("/a"))).body == ChildrenReply(("/a/e",))
        assert (await wire.ask(OpCode.WHO_AM_I)).body == WhoAmIReply((("ip", "127.0.0.1"),))
        children = (await wire.ask(OpCode.GET_CHILDREN, PathWatch("/a", False))).body
        assert children == ChildrenReply(("e",))


async def test_a_failed_multi_tells_each_operation(start: Start) -> None:
    server = await start()
    async with Wire(server.port) as wire:
        await wire.connect()
        ops = MultiRequest(((1, CreateRequest("/a", b"", OPEN_ACL, 0)), (13, PathVersion("/no", 1))))
        answer = await wire.ask(OpCode.MULTI, ops)
        assert answer.err == 0
        assert [result[1] for result in cast("MultiReply", answer.body).results] == [ErrorResult(0), ErrorResult(-101)]


# --- auth ---


async def test_authentication_belongs_to_the_connection(start: Start) -> None:
    server = await start(superDigest="super:D/InIHSb7yEEbrWz8b9l71RjZJU=")
    async with Wire(server.port) as joe, Wire(server.port) as nobody, Wire(server.port) as root:
        for wire in (joe, nobody, root):
            await wire.connect()
        auth = await joe.ask(OpCode.AUTH, AuthRequest(0, "digest", b"joe:secret"), xid=-4)
        assert (auth.zxid, auth.err) == (0, 0)
        created = await joe.ask(OpCode.CREATE, CreateRequest("/j", b"", (Acl(31, "auth", ""),), 0))
        assert created.err == 0
        assert (await nobody.get("/j")).err == Code.NO_AUTH
        await root.ask(OpCode.AUTH, AuthRequest(0, "digest", b"super:test"), xid=-4)
        assert (await root.get("/j")).err == 0


async def test_an_unknown_scheme_fails_and_closes(start: Start) -> None:
    server = await start()
    async with Wire(server.port) as wire:
        await wire.connect()
        assert (await wire.ask(OpCode.AUTH, AuthRequest(0, "nonsense", b""), xid=-4)).err == Code.AUTH_FAILED
        with pytest.raises(Closed):
            await wire.frame()


async def test_no_event_about_a_node_that_may_not_be_read(start: Start) -> None:
    server = await start()
    async with Wire(server.port) as joe, Wire(server.port) as nobody:
        await joe.connect()
        await nobody.connect()
        await joe.ask(OpCode.AUTH, AuthRequest(0, "digest", b"joe:secret"), xid=-4)
        await nobody.exists("/secret", watch=True)
        await nobody.ask(OpCode.GET_CHILDREN, PathWatch("/", True))
        await joe.ask(OpCode.CREATE, CreateRequest("/secret", b"", (Acl(31, "auth", ""),), 0))
        assert event(await nobody.answer()) == (4, "/")
        assert (await nobody.ask(OpCode.PING, xid=-2)).xid == -2


# --- watches ---


async def test_watches_are_set_again_after_a_reconnect(start: Start) -> None:
    server = await start()
    async with Wire(server.port) as wire:
        await wire.connect()
        await wire.create("/a")
        zxid = (await wire.create("/b")).zxid
        await wire.set("/a", b"missed")
        wire.send(OpCode.SET_WATCHES, SetWatchesRequest(zxid, ("/a", "/b"), ("/c",), ("/gone",)), xid=-8)
        assert [event(await wire.answer()) for _ in range(2)] == [(3, "/a"), (2, "/gone")]
        assert (await wire.answer()).xid == -8
        await_event = wire.send(OpCode.SET_DATA, SetDataRequest("/b", b"x", -1))
        assert event(await wire.answer()) == (3, "/b")
        assert (await wire.answer()).xid == await_event


async def test_persistent_and_recursive_watches(start: Start) -> None:
    server = await start()
    async with Wire(server.port) as watcher, Wire(server.port) as writer:
        await watcher.connect()
        await writer.connect()
        assert (await watcher.ask(OpCode.ADD_WATCH, PathMode("/a", 1))).body == IntReply(0)
        for path in ("/a", "/a/b"):
            await writer.create(path)
        await writer.set("/a/b", b"x")
        await writer.ask(OpCode.DELETE, PathVersion("/a/b", -1))
        assert [event(await watcher.answer()) for _ in range(4)] == [(1, "/a"), (1, "/a/b"), (3, "/a/b"), (2, "/a/b")]
        assert (await watcher.ask(OpCode.REMOVE_WATCHES, PathMode("/a", 3))).err == 0
        assert (await watcher.ask(OpCode.REMOVE_WATCHES, PathMode("/a", 3))).err == Code.NO_WATCHER


# --- limits and bad input ---


@pytest.mark.parametrize(
    "data",
    [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\x02ab"],
)
async def test_other_protocols_are_closed_at_once(start: Start, data: bytes) -> None:
    server = await start()
    async with Wire(server.port) as wire:
        wire.raw(data)
        with pytest.raises(Closed):
            await wire.frame()


async def test_frames_may_come_in_pieces_and_in_heaps(start: Start) -> None:
    server = await start()
    async with Wire(server.port) as wire:
        await wire.connect()
        wire.pending = {1: OpCode.EXISTS, 2: OpCode.EXISTS}
        heap = encode_request(1, OpCode.EXISTS, PathWatch("/", False)) + encode_request(
            2, OpCode.EXISTS, PathWatch("/", False)
        )
        for at in range(len(heap)):
            wire.raw(heap[at : at + 1])
            await asyncio.sleep(0)
        assert [(await wire.answer()).xid for _ in range(2)] == [1, 2]


async def test_the_largest_frame_is_taken_and_one_byte_more_is_not(start: Start) -> None:
    server = await start()
    async with Wire(server.port) as wire, Wire(server.port) as back:
        session = await wire.connect()
        overhead = len(encode_request(1, OpCode.CREATE, CreateRequest("/big", b"", OPEN_ACL, 0))) - 4
        assert (await wire.create("/big", bytes(0xFFFFF - overhead))).err == 0
        wire.send(OpCode.CREATE, CreateRequest("/ba2", bytes(0xFFFFF - overhead + 1), OPEN_ACL, 0))
        with pytest.raises(Closed):
            await wire.frame()
        assert (await back.connect(session.session_id, session.password)).timeout_ms > 0


async def test_silent_sockets_do_not_keep_sessions_out(start: Start) -> None:
    server = await start(maxClientCnxns="3")
    silent = [Wire(server.port) for _ in range(5)]
    for wire in silent:
        await wire.__aenter__()
    for wire in silent[3:]:
        with pytest.raises(Closed):
            await wire.frame()
    await silent[0].connect()
    async with Wire(server.port) as another:
        await another.connect()
    for wire in silent:
        await wire.__aexit__(None, None, None)


async def word(server: ZooKeeperServer, text: str) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(text.encode())
    answer = (await reader.read()).decode()
    writer.close()
    return answer


async def test_four_letter_words(start: Start) -> None:
    server = await start(**{"4lw_commands_whitelist": "*"})
    async with Wire(server.port) as wire:
        session = await wire.connect()
        await wire.create("/e", flags=1)
        await wire.get("/e", watch=True)
        assert await word(server, "ruok\n") == "imok"
        assert "Mode: standalone\nNode count: 5\n" in await word(server, "srvr")
        assert "zk_znode_count\t5\n" in await word(server, "mntr")
        assert "zookeeper.version=3.8" in await word(server, "envi")
        assert f"sid=0x{session.session_id:x}" in await word(server, "cons")
        assert "\t/e\n" in await word(server, "dump")
        assert await word(server, "wchs") == "1 connections watching 1 paths\nTotal watches:1\n"
        assert await word(server, "wchp") == f"/e\n\t0x{session.session_id:x}\n"
        for name in ("stat", "conf", "wchc", "dirs", "isro", "srst", "crst", "gtmk"):
            assert await word(server, name)


async def test_words_that_are_not_whitelisted_are_refused(start: Start) -> None:
    server = await start()
    assert "Zxid: 0x0" in await word(server, "srvr")
    assert await word(server, "mntr") == "mntr is not executed because it is not in the whitelist.\n"


# --- the disk ---


async def test_snapshots_are_taken_while_writes_go_on_and_two_are_kept(start: Start, tmp_path: Path) -> None:
    server = await start(snapCount="200")
    async with Wire(server.port) as wire:
        await wire.connect()
        for _ in range(10):
            base = server.tree.last_zxid
            for index in range(100):
                wire.send(OpCode.CREATE, CreateRequest(f"/n{base + index}", b"x" * 50, OPEN_ACL, 0))
            for _ in range(100):
                assert (await wire.answer()).err == 0
    data = tmp_path / "data" / "version-2"
    await until(lambda: len(list(data.glob("snapshot.*"))) == 2 and server._snapshotting is None)
    nodes = dict(server.tree.nodes)
    await server.stop()
    assert not list(data.glob("unfinished.*"))
    assert not (data / "log.1").exists()
    again = await start()
    assert {path: node.stat() for path, node in again.tree.nodes.items()} == {
        path: node.stat() for path, node in nodes.items()
    }


def failing_host(
    *, gate: asyncio.Event | None = None, sync_error: int | None = None, room: list[int] | None = None
) -> Host:
    """The real doors with a disk whose logs sync only while ``gate`` is open, fail to sync, or have ``room`` bytes."""
    host = real_host()

    class File:
        def __init__(self, file: Any) -> None:
            self._file = file

        def __getattr__(self, name: str) -> Any:
            return getattr(self._file, name)

        def append(self, data: bytes) -> int:
            if room is None:
                return cast("int", self._file.append(data))
            fits = data[: room[0]]
            room[0] -= len(fits)
            return cast("int", self._file.append(fits)) if fits else 0

        async def sync(self) -> None:
            if gate is not None:
                await gate.wait()
            if sync_error is not None:
                raise OSError(sync_error, "sync failed")
            await self._file.sync()

    class Files:
        def __getattr__(self, name: str) -> Any:
            return getattr(host.files, name)

        def open(self, path: str, **kwargs: Any) -> Any:
            file = host.files.open(path, **kwargs)
            return File(file) if "/log." in path else file

    return replace(host, files=cast("Any", Files()))


async def test_a_failed_sync_stops_the_server_and_nothing_is_acknowledged(start: Start) -> None:
    server = await start(host=failing_host(sync_error=errno.EIO))
    async with Wire(server.port) as wire:
        with pytest.raises(Closed):
            await wire.connect()
    assert (await server.failed).errno == errno.EIO


async def test_a_full_disk_stops_the_server_and_acknowledged_writes_are_there_when_there_is_room(start: Start) -> None:
    server = await start(host=failing_host(room=[3000]))
    acknowledged = 0
    async with Wire(server.port) as wire:
        await wire.connect()
        with pytest.raises(Closed):
            while True:
                assert (await wire.create(f"/n{acknowledged}", b"x" * 100)).err == 0
                acknowledged += 1
    assert (await server.failed).errno == errno.ENOSPC
    assert acknowledged > 5
    await server.stop()
    again = await start()
    assert [f"/n{index}" in again.tree.nodes for index in range(acknowledged)] == [True] * acknowledged
