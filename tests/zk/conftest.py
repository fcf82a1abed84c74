"""Servers for the client's tests: each test runs on ours and, where Java is installed, on Debian's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from broker.host import real_host
from broker.zk.client import ZooKeeperClient
from tests.zk.proxy import Proxy
from tests.zk.servers import ZkServer, debian_installed


@pytest.fixture(scope="module", params=["kops", "debian"])
def shared_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZkServer]:
    """One process for the tests of a module that do not stop it."""
    if request.param == "debian" and not debian_installed():
        pytest.skip("Debian's ZooKeeper is not installed (apt install zookeeper)")
    server = ZkServer(request.param, tmp_path_factory.mktemp("zk"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(params=["kops", "debian"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ZkServer]:
    """A process of the test's own, to be killed and paused."""
    if request.param == "debian" and not debian_installed():
        pytest.skip("Debian's ZooKeeper is not installed (apt install zookeeper)")
    found = ZkServer(request.param, tmp_path)
    found.start()
    yield found
    found.kill()


MakeClient = Callable[..., ZooKeeperClient]


@pytest_asyncio.fixture
async def make_client() -> AsyncIterator[MakeClient]:
    """Makes clients and closes them."""
    made: list[ZooKeeperClient] = []

    def make(connect: str, **settings: Any) -> ZooKeeperClient:
        settings.setdefault("session_timeout_ms", 6000)
        made.append(ZooKeeperClient(real_host(), connect, **settings))
        return made[-1]

    yield make
    for client in made:
        await client.close()


@pytest_asyncio.fixture
async def proxied() -> AsyncIterator[Callable[[int], Any]]:
    made: list[Proxy] = []

    async def make(port: int) -> Proxy:
        made.append(Proxy(port))
        await made[-1].start()
        return made[-1]

    yield make
    for proxy in made:
        await proxy.stop()


async def eventually(condition: Callable[[], object], seconds: float = 15.0) -> None:
    """Wait until the condition holds."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)
