"""The real program in a pseudo-terminal on a real cluster of three brokers: kill the leader, read the screen."""

import sys
from pathlib import Path

import pytest

from kops.cluster import recording
from tests.cluster.clusters import Cluster
from tests.cluster.processes import eventually
from tests.tui.terminal import Terminal
from tui.replay import ReplayFeed

pytestmark = pytest.mark.timeout(120)


def dashboard(cluster: Cluster, directory: Path, *more: str) -> Terminal:
    bootstrap = ",".join(f"127.0.0.1:{node.inbound.port}" for node in cluster.nodes.values())
    words = [sys.executable, "-m", "kops", "tui", *more, "-b", bootstrap]
    homes = {"XDG_CONFIG_HOME": str(directory / "config"), "XDG_STATE_HOME": str(directory / "state")}
    return Terminal(words, {**homes, "PYTHONPATH": str(Path(__file__).resolve().parents[2])})


async def test_a_killed_leader_is_seen_on_the_screen_as_zookeeper_pushes_it(tmp_path: Path) -> None:
    async with Cluster(tmp_path, **{"auto.leader.rebalance.enable": "false"}) as cluster:
        await cluster.create("orders", [[1, 2, 0], [0, 1, 2]])
        await cluster.produce("orders", [b"one", b"two"])
        zookeeper, tape = f"127.0.0.1:{cluster.zookeeper_port}", tmp_path / "tape"
        async with dashboard(cluster, tmp_path, "isr", "--zookeeper", zookeeper, "--record", str(tape)) as terminal:
            await terminal.until("orders-0", "orders-1", "LIVE", "pushed by ZooKeeper", "brokers 3/3", limit=60)
            assert terminal.line("orders-0").split()[:4] == ["orders-0", "F", "L*", "F"]
            cluster.kill(1)
            await terminal.until("2 ←1", "under-replicated 2", "○ 1 DOWN", "left the cluster")
            assert terminal.line("orders-0").split()[-1] == "URP"
            assert "ISR 0,1,2 → 0,2" in terminal.text
            await cluster.produce("orders", [b"three"])
            cluster.start(1)
            await terminal.until("under-replicated 0", "brokers 3/3", "registered after", limit=40)
            terminal.type("3")
            await terminal.until("TOPIC", "WRITTEN")

            async def counted() -> bool:
                return terminal.line("orders").split()[:5] == ["orders", "2", "3", "0", "3"]

            await eventually("the three records are counted", counted)
            # Typed in one go: to the topic's row, then its records, which begin with those that are there.
            terminal.type(":records orders\r")
            await terminal.until("records of orders", "one", "two", "three")
            terminal.type("1q")
            assert await terminal.ended() == 0
        again = ReplayFeed(recording.read(str(tape)), "tape")
        again.seek(again.length)
        assert again.history.led_before == {"orders-0": 1}
        assert again.view is not None and again.view.partitions["orders-0"].leader == 2


async def test_without_zookeeper_it_polls_and_says_so_and_it_ends_with_its_terminal(tmp_path: Path) -> None:
    async with Cluster(tmp_path, brokers=2) as cluster:
        await cluster.create("orders", [[1, 0]])
        async with dashboard(cluster, tmp_path, "isr", "--interval", "0.5") as terminal:
            await terminal.until("orders-0", "LIVE", "polled, ±500 ms (no ZooKeeper is known)")
            terminal.type("b")
            await terminal.until("kops did not start this cluster")
            cluster.kill(1)
            await terminal.until("0 ←1", "±500", "under-replicated 1")
            terminal.hang_up()
            await terminal.ended()
