"""The client against real ZooKeeper servers: order, watches, lost connections, kills, expiry, re-attachment."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from broker.host import real_host
from broker.zk.client import ZooKeeperClient
from broker.zk.operations import (
    Check,
    ConnectionLost,
    Create,
    CreateMode,
    Delete,
    Exists,
    GetChildren,
    GetData,
    Multi,
    SessionExpired,
    SetData,
    Sync,
    WatchKind,
    ZkCode,
)
from tests.zk.conftest import MakeClient, eventually
from tests.zk.servers import ZkServer


async def test_operations_answer_in_order_with_their_own_codes(
    shared_server: ZkServer, make_client: MakeClient
) -> None:
    client = make_client(shared_server.connect)
    await client.start()
    results = await client.request(
        [
            Create("/ops", b"one"),
            Create("/ops"),
            GetData("/ops"),
            SetData("/ops", None, 0),
            GetData("/ops"),
            SetData("/ops", b"x", 0),
            Create("/ops/seq-", mode=CreateMode.SEQUENTIAL),
            Create("/ops/me", mode=CreateMode.EPHEMERAL),
            GetChildren("/ops"),
            Exists("/missing"),
            Delete("/ops"),
            Sync("/ops"),
        ]
    )
    assert [result.code.name for result in results] == [
        *("OK", "NODE_EXISTS", "OK", "OK", "OK", "BAD_VERSION", "OK", "OK", "OK", "NO_NODE", "NOT_EMPTY", "OK"),
    ]
    assert (results[2].data, results[2].version) == (b"one", 0)
    assert (results[4].data, results[4].version) == (None, 1)
    assert results[6].path == "/ops/seq-0000000000"
    assert results[8].children == ("me", "seq-0000000000")
    [me] = await client.request([Exists("/ops/me")])
    assert me.stat is not None and me.stat.ephemeral_owner == client.session_id


async def test_a_multi_is_all_or_nothing_and_names_the_culprit(
    shared_server: ZkServer, make_client: MakeClient
) -> None:
    client = make_client(shared_server.connect)
    await client.start()
    await client.request([Create("/epoch", b"1")])
    good, bad, gone = await client.request(
        [
            Multi((Check("/epoch", 0), Create("/epoch/a"), SetData("/epoch/a", b"x", 0))),
            Multi((Create("/epoch/b"), Check("/epoch", 7), Delete("/epoch/a"))),
            Exists("/epoch/b"),
        ]
    )
    assert good.ok and good.results[1].path == "/epoch/a" and good.results[2].version == 1
    assert bad.code == ZkCode.BAD_VERSION and bad.failed == 1
    assert [part.code for part in bad.results] == [ZkCode.OK, ZkCode.BAD_VERSION, ZkCode.RUNTIME_INCONSISTENCY]
    assert gone.code == ZkCode.NO_NODE


async def test_a_thousand_requests_are_pipelined_in_order(shared_server: ZkServer, make_client: MakeClient) -> None:
    client = make_client(shared_server.connect)
    await client.start()
    await client.request([Create("/many")])
    answers = await asyncio.gather(
        *(client.request([SetData("/many", b"%d" % i), GetData("/many")]) for i in range(500))
    )
    assert [pair[1].data for pair in answers] == [b"%d" % i for i in range(500)]


async def test_the_chroot_is_made_and_never_seen(shared_server: ZkServer, make_client: MakeClient) -> None:
    client = make_client(f"{shared_server.connect}/deep/kafka")
    outside = make_client(shared_server.connect)
    await client.start()
    await outside.start()
    seen: list[tuple[str, WatchKind]] = []
    client.subscribe(watch=lambda path, kind: seen.append((path, kind)))
    created, _ = await client.request([Create("/topic"), GetData("/topic", watch=True)])
    assert created.path == "/topic"
    await outside.request([SetData("/deep/kafka/topic", b"x")])
    await eventually(lambda: seen)
    assert seen == [("/topic", WatchKind.DATA_CHANGED)]


async def test_an_event_is_handled_before_any_reply_that_came_after_it(
    shared_server: ZkServer, make_client: MakeClient
) -> None:
    client, writer = make_client(shared_server.connect), make_client(shared_server.connect)
    await client.start()
    await writer.start()
    await writer.request([Create("/race", b"0")])
    seen: list[str] = []
    client.subscribe(watch=lambda path, kind: seen.append(kind.name))
    for i in range(1, 60):
        seen.clear()
        [before] = await client.request([GetData("/race", watch=True)])
        write = asyncio.ensure_future(writer.request([SetData("/race", b"%d" % i)]))
        while True:
            [now] = await client.request([GetData("/race")])
            if now.data != before.data:
                assert seen == ["DATA_CHANGED"], "the change was seen before its event"
                break
        await write


async def test_watches_outlive_a_lost_connection_and_tell_what_was_missed(
    shared_server: ZkServer, make_client: MakeClient, proxied
) -> None:
    proxy = await proxied(shared_server.port)
    client, writer = make_client(f"127.0.0.1:{proxy.port}"), make_client(shared_server.connect)
    await client.start()
    await writer.start()
    await writer.request([Create(path) for path in ("/w", "/w/kept", "/w/changed", "/w/deleted", "/w/parent")])
    seen: list[tuple[str, str]] = []
    client.subscribe(watch=lambda path, kind: seen.append((path, kind.name)))
    await client.request(
        [
            GetData("/w/kept", watch=True),
            GetData("/w/changed", watch=True),
            GetData("/w/deleted", watch=True),
            GetChildren("/w/parent", watch=True),
            Exists("/w/new", watch=True),
        ]
    )
    session = client.session_id
    await proxy.stop()
    await eventually(lambda: not client.connected)
    await writer.request(
        [SetData("/w/changed", b"x"), Delete("/w/deleted"), Create("/w/parent/child"), Create("/w/new")]
    )
    await proxy.start()
    [kept] = await client.request([GetData("/w/kept")])
    assert kept.ok and client.session_id == session
    assert sorted(seen) == [
        ("/w/changed", "DATA_CHANGED"),
        ("/w/deleted", "DELETED"),
        ("/w/new", "CREATED"),
        ("/w/parent", "CHILDREN_CHANGED"),
    ]
    await writer.request([SetData("/w/kept", b"x")])
    await eventually(lambda: ("/w/kept", "DATA_CHANGED") in seen)


async def test_a_write_whose_answer_was_lost_is_sent_again_and_marked(
    shared_server: ZkServer, make_client: MakeClient, proxied
) -> None:
    proxy = await proxied(shared_server.port)
    client, other = make_client(f"127.0.0.1:{proxy.port}"), make_client(shared_server.connect)
    await client.start()
    await other.start()
    proxy.swallow = True
    create = asyncio.ensure_future(client.request([Create("/lost", b"mine"), GetData("/lost")]))
    while not (await other.request([Exists("/lost")]))[0].ok:
        await asyncio.sleep(0.01)
    proxy.swallow = False
    proxy.cut()
    created, read = await create
    assert created.code == ZkCode.NODE_EXISTS and created.retried
    assert read.data == b"mine"
    [plain] = await client.request([Exists("/lost")])
    assert not plain.retried


async def test_a_request_has_a_deadline_and_the_client_goes_on(server: ZkServer, make_client: MakeClient) -> None:
    client = make_client(server.connect)
    await client.start()
    server.pause()
    began = time.monotonic()
    with pytest.raises(ConnectionLost, match="did not answer within 0.3 s"):
        await client.request([Create("/late")], timeout=0.3)
    assert time.monotonic() - began < 2
    server.resume()
    [found] = await client.request([Exists("/")])
    assert found.ok


async def test_a_killed_server_comes_back_and_the_session_goes_on(server: ZkServer, make_client: MakeClient) -> None:
    client = make_client(server.connect, session_timeout_ms=10_000)
    await client.start()
    await client.request([Create("/mine", mode=CreateMode.EPHEMERAL)])
    session = client.session_id
    server.kill()
    pending = asyncio.ensure_future(client.request([Create("/while-away", b"x")]))
    await asyncio.sleep(0.2)
    server.start()
    [created] = await pending
    [mine] = await client.request([Exists("/mine")])
    assert created.ok and mine.ok and client.session_id == session


async def test_after_an_expiry_callbacks_run_in_order_and_a_new_session_begins(
    server: ZkServer, make_client: MakeClient, proxied
) -> None:
    proxy = await proxied(server.port)
    client, other = make_client(f"127.0.0.1:{proxy.port}", session_timeout_ms=1500), make_client(server.connect)
    story: list[str] = []
    client.subscribe(
        expired=lambda: story.append(f"expired, session {client.session_id}"),
        established=lambda: story.append("established"),
    )
    await client.start()
    await other.start()
    first = client.session_id
    await client.request([Create("/gone", mode=CreateMode.EPHEMERAL)])
    await proxy.stop()
    pending = asyncio.ensure_future(client.request([Exists("/")]))
    while (await other.request([Exists("/gone")]))[0].ok:
        await asyncio.sleep(0.05)
    await proxy.start()
    with pytest.raises(SessionExpired):
        await pending
    await eventually(lambda: len(story) == 2)
    assert story == ["expired, session 0", "established"]
    assert client.session_id not in (0, first)
    [found] = await client.request([Exists("/")])
    assert found.ok


async def test_a_process_that_was_frozen_past_its_time_learns_that_its_session_is_over(
    shared_server: ZkServer, make_client: MakeClient
) -> None:
    """The loop stands still, as under SIGSTOP: no ping leaves, and the socket is closed while nobody looks."""
    client = make_client(shared_server.connect, session_timeout_ms=1000)
    expired: list[int] = []
    client.subscribe(expired=lambda: expired.append(client.session_id), established=lambda: 1 / 0)
    await client.start()
    first = client.session_id
    time.sleep(2.2)
    with pytest.raises(SessionExpired):
        await client.request([Exists("/")])
    await eventually(lambda: client.session_id not in (0, first))
    [found] = await client.request([Exists("/")])
    assert found.ok, "a callback that failed does no harm"
    assert expired == [0]


async def test_a_restarted_broker_ends_its_last_session_at_once(
    shared_server: ZkServer, make_client: MakeClient, tmp_path: Path
) -> None:
    """The first life is killed: it never says goodbye, its node is still there when the second life begins."""
    file = tmp_path / "zookeeper.session"
    first = ZooKeeperClient(real_host(), shared_server.connect, session_timeout_ms=10_000, session_file=str(file))
    await first.start()
    await first.request([Create("/registered", mode=CreateMode.EPHEMERAL)])
    assert file.stat().st_mode & 0o777 == 0o600
    first._transport.drop()
    first._timer.cancel()
    began = time.monotonic()
    second = make_client(shared_server.connect, session_timeout_ms=10_000, session_file=str(file))
    await second.start()
    [again] = await second.request([Create("/registered", mode=CreateMode.EPHEMERAL)])
    assert again.ok and time.monotonic() - began < 2
    await second.close()
    assert not os.path.exists(file)


async def test_start_fails_in_one_line_when_nothing_listens(make_client: MakeClient) -> None:
    client = make_client("127.0.0.1:1", connection_timeout_ms=300)
    with pytest.raises(ConnectionLost, match=r"no answer within 0.3 s \(127.0.0.1:1: connection refused\)"):
        await client.start()


async def test_the_second_host_is_used_when_the_first_is_dead(shared_server: ZkServer, make_client: MakeClient) -> None:
    for _ in range(3):
        client = make_client(f"127.0.0.1:1,{shared_server.connect}")
        await client.start()
        assert client.connected
