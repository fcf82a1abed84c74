"""The server as people run it: a process with a file of settings, killed and started again."""

from __future__ import annotations

import asyncio
import random
import signal
from pathlib import Path

import pytest
from kazoo.client import KazooClient

from broker.zookeeper.messages import OPEN_ACL, CreateRequest, OpCode
from tests.zookeeper.processes import Process, wait_until
from tests.zookeeper.wire import Closed, Wire

pytestmark = pytest.mark.timeout(90)


def test_sigterm_ends_it_with_zero_and_kazoo_finds_everything_again(tmp_path: Path) -> None:
    with Process(tmp_path) as first:
        client = KazooClient(first.address)
        client.start(10)
        assert client.server_version()[:2] == (3, 8)
        client.create("/a", b"1", makepath=True)
        client.stop()
        client.close()
        assert first.stop() == 0
        assert f"binding to port 127.0.0.1:{first.port}" in first.log.read_text()
    with Process(tmp_path) as second:
        client = KazooClient(second.address)
        client.start(10)
        assert client.get("/a")[0] == b"1"
        client.stop()
        client.close()


async def write_until_killed(port: int, prefix: str, acknowledged: list[str]) -> None:
    """Create nodes, 50 at a time in flight, until the server is gone."""
    async with Wire(port) as wire:
        await wire.connect()
        sent: dict[int, str] = {}
        try:
            for index in range(1_000_000):
                path = f"/{prefix}-{index}"
                sent[wire.send(OpCode.CREATE, CreateRequest(path, b"x" * 100, OPEN_ACL, 0))] = path
                if index >= 50:
                    answer = await wire.answer()
                    assert answer.err == 0
                    acknowledged.append(sent[answer.xid])
        except Closed:
            return


@pytest.mark.parametrize("round_", range(3))
async def test_kill_9_loses_no_acknowledged_write(tmp_path: Path, round_: int) -> None:
    server = Process(tmp_path, "snapCount=500", "maxSessionTimeout=60000")
    await asyncio.to_thread(server.wait_ready)
    acknowledged: list[list[str]] = [[], [], []]
    async with Wire(server.port) as wire:
        session = await wire.connect(timeout_ms=60_000)
        await wire.create("/ephemeral", flags=1)
        writers = [
            asyncio.create_task(write_until_killed(server.port, f"w{number}", paths))
            for number, paths in enumerate(acknowledged)
        ]
        async with asyncio.timeout(30):
            while sum(map(len, acknowledged)) < 2000:
                await asyncio.sleep(0.005)
        await asyncio.sleep(random.random() * 0.1)
        server.kill()
        await asyncio.gather(*writers)
    again = Process(tmp_path, "maxSessionTimeout=60000")
    await asyncio.to_thread(again.wait_ready)
    try:
        async with Wire(again.port) as wire:
            assert (await wire.connect(session.session_id, session.password)).session_id == session.session_id
            assert (await wire.exists("/ephemeral")).err == 0
            for paths in acknowledged:
                for path in paths:
                    assert (await wire.exists(path)).err == 0, f"{path} was acknowledged"
                indexes = [int(path.rpartition("-")[2]) for path in paths]
                assert indexes == list(range(len(indexes)))
    finally:
        await asyncio.to_thread(again.stop)


async def test_a_server_that_was_stopped_for_a_while_hears_its_clients_before_it_expires_them(tmp_path: Path) -> None:
    server = Process(tmp_path, "minSessionTimeout=400")
    await asyncio.to_thread(server.wait_ready)
    try:
        async with Wire(server.port) as alive, Wire(server.port) as silent:
            await alive.connect(timeout_ms=400)
            gone = await silent.connect(timeout_ms=400)
            server.process.send_signal(signal.SIGSTOP)
            alive.send(OpCode.PING, xid=-2)
            await asyncio.sleep(1.0)
            server.process.send_signal(signal.SIGCONT)
            assert (await alive.answer()).xid == -2
            for _ in range(4):
                await asyncio.sleep(0.1)
                assert (await alive.ask(OpCode.PING, xid=-2)).err == 0
            with pytest.raises(Closed):
                await silent.frame()
            async with Wire(server.port) as back:
                assert (await back.connect(gone.session_id, gone.password)).timeout_ms == 0
    finally:
        await asyncio.to_thread(server.stop)


def test_a_second_server_on_the_same_directory_is_refused(tmp_path: Path) -> None:
    with Process(tmp_path):
        second = Process(tmp_path)
        assert second.process.wait(10) == 3
        assert "in use by another ZooKeeper server" in second.log.read_text()


def test_damage_is_refused_in_one_line_and_repaired_on_request(tmp_path: Path) -> None:
    with Process(tmp_path) as first:
        client = KazooClient(first.address)
        client.start(10)
        for index in range(20):
            client.create(f"/n{index}", b"x" * 100)
        client.stop()
        client.close()
    (log,) = (tmp_path / "data" / "version-2").glob("log.*")
    data = bytearray(log.read_bytes())
    data[len(data) // 2] ^= 1
    log.write_bytes(data)
    second = Process(tmp_path)
    assert second.process.wait(10) == 3
    said = second.log.read_text()
    assert len(said.strip().splitlines()) == 1
    assert f"{log}: damaged at offset" in said
    with Process(tmp_path, arguments=("--repair",)) as third:
        client = KazooClient(third.address)
        client.start(10)
        assert client.exists("/n3")
        assert not client.exists("/n19")
        client.stop()
        client.close()


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("tickTime=soon", "line 6: tickTime=soon: allowed is a whole number from 1 to 2147483647"),
        ("enforceQuota=perhaps", "line 6: enforceQuota=perhaps: allowed is true or false"),
        ("server.1=a:1:2\nserver.2=b:1:2", "2 server.N lines make an ensemble"),
        ("minSessionTimeout=90000", "minSessionTimeout 90000 is above maxSessionTimeout 10000"),
    ],
)
def test_wrong_settings_are_named_with_line_value_and_what_is_allowed(tmp_path: Path, setting: str, said: str) -> None:
    server = Process(tmp_path, setting)
    assert server.process.wait(10) == 2
    assert said in server.log.read_text()


def test_an_unknown_setting_is_warned_about_once(tmp_path: Path) -> None:
    with Process(tmp_path, "nonsense=1", "initLimit=5") as server:
        wait_until(lambda: "bound to port" in server.log.read_text(), "start")
        said = server.log.read_text()
    assert said.count("nonsense") == 1
    assert "without effect here: initLimit" in said


def test_a_port_in_use_and_a_data_directory_that_is_a_file_are_one_clear_line(tmp_path: Path) -> None:
    with Process(tmp_path) as first:
        other = tmp_path / "other"
        other.mkdir()
        second = Process(other, f"clientPort={first.port}")
        assert second.process.wait(10) == 3
        assert f"port {first.port} is in use" in second.log.read_text()
    third_dir = tmp_path / "third"
    third_dir.mkdir()
    (third_dir / "data").write_text("a file")
    third = Process(third_dir)
    assert third.process.wait(10) == 3
    assert len(third.log.read_text().strip().splitlines()) == 1
