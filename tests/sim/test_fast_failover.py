"""Hostile schedules for the fast failover: kills, pauses, cuts, resets and listeners that go away, by the seed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from broker.cluster.peers import PeerUnreachable
from broker.wire.errors import ErrorCode
from broker.wire.keys import ApiKey
from broker.wire.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from broker.wire.records import Record, build_batch, read_all
from tests.sim.cluster import BROKER_PORT, Client, Cluster

SESSION_S = 18.0
TAKEN = (ErrorCode.NONE, ErrorCode.DUPLICATE_SEQUENCE_NUMBER)


class Drama:
    """Three brokers under a long session, one topic, a producer that never gives up, and a note of every leadership."""

    def __init__(self, seed: int, **settings: Any) -> None:
        self.cluster = Cluster(
            seed,
            min_insync_replicas=2,
            replica_lag_time_max_ms=10_000,
            **{"zookeeper_session_timeout_ms": int(SESSION_S * 1000), **settings},
        )
        self.cluster.start()
        self.world = self.cluster.world
        self.client = Client(self.cluster)
        self.leaders: dict[int, int] = {}
        """Of each leader epoch; more than one leader in an epoch is the end of the play."""
        self.acknowledged: list[bytes] = []
        self.longest_gap = 0.0
        self.is_over = False
        assert self.cluster.call(self.client.create("orders", via=self.controller())) == ErrorCode.NONE
        self.until(lambda: len(self.isr()) == 3, "a whole ISR")
        self.client.process.spawn(self._produce(), "producer")

    # -- what is seen

    def controller(self) -> int:
        self.cluster.until(lambda: any(s.controller.is_active for s in self.cluster.alive()), 60, "a controller")
        return next(s.config.broker_id for s in self.cluster.alive() if s.controller.is_active)

    def leader(self) -> int:
        newest = max(self.leaders, default=-1)
        return self.leaders.get(newest, -1)

    def isr(self) -> tuple[int, ...]:
        """As the leader of the newest epoch, if it is alive, has it."""
        server = self.cluster.servers.get(self.leader())
        hosted = server.replicas.get("orders", 0) if server is not None and hasattr(server, "replicas") else None
        return hosted.partition.isr if hosted is not None and hosted.is_leader else ()

    def watch(self) -> bool:
        """Notes who leads in which epoch, in everybody's own opinion."""
        for server in self.cluster.alive():
            hosted = server.replicas.get("orders", 0) if hasattr(server, "replicas") else None
            if hosted is not None and hosted.is_leader:
                epoch, broker = hosted.partition.leader_epoch, server.config.broker_id
                assert self.leaders.setdefault(epoch, broker) == broker, f"two leaders in epoch {epoch}"
        return False

    def until(self, condition: object, what: str, seconds: float = 120) -> float:
        return self.cluster.until(lambda: self.watch() or condition(), seconds, what)  # type: ignore[operator]

    def pass_time(self, seconds: float) -> None:
        end = self.world.now + seconds
        self.world.at(end, lambda: None)
        self.until(lambda: self.world.now >= end, "time passes", seconds + 1)

    # -- the producer

    async def _produce(self) -> None:
        last = self.world.now
        lines = {broker: self.client.line(broker) for broker in self.cluster.ids}
        asked = 0
        while not self.is_over:
            value = b"%d" % len(self.acknowledged)
            batch = build_batch(
                [Record(0, self.client.host.clock.wall_ms(), None, value)],
                base_offset=0,
                producer_id=7,
                producer_epoch=0,
                base_sequence=len(self.acknowledged),
            )
            data = TopicProduceData(name="orders", partition_data=[PartitionProduceData(index=0, records=bytes(batch))])
            request = ProduceRequest(acks=-1, timeout_ms=2000, topic_data=[data])
            broker = self.leader() if asked % 3 < 2 else self.cluster.ids[asked % len(self.cluster.ids)]
            asked += 1
            try:
                reply = await lines[broker].send(ApiKey.PRODUCE, 8, request, 2.0)
            except (PeerUnreachable, KeyError):
                await asyncio.sleep(0.01)
                continue
            if reply.responses[0].partition_responses[0].error_code not in TAKEN:
                await asyncio.sleep(0.01)
                continue
            self.acknowledged.append(value)
            self.longest_gap, last, asked = max(self.longest_gap, self.world.now - last), self.world.now, 0
            await asyncio.sleep(0.005)

    def more(self, count: int, seconds: float = 120) -> float:
        target = len(self.acknowledged) + count
        return self.until(lambda: len(self.acknowledged) >= target, f"{count} more records", seconds)

    def finish(self) -> None:
        """Everybody is well again; then every log is the same, and holds exactly what was acknowledged, in order."""
        self.cluster.network.heal()
        for broker in self.cluster.ids:
            self.cluster.process(broker).resume()
            if self.cluster.process(broker).dead:
                self.cluster.start_broker(broker)
        self.until(lambda: len(self.isr()) == 3, "a whole ISR in the end", 300)
        self.more(5)
        self.is_over = True
        logs = [self.cluster.servers[broker].logdirs.get("orders", 0) for broker in self.cluster.ids]

        def settled() -> bool:
            ends = {log.log_end_offset for log in logs if log is not None}
            marks = {log.high_watermark for log in logs if log is not None}
            return len(ends) == 1 and ends == marks

        self.until(settled, "equal logs")
        sent = [*self.acknowledged, b"%d" % len(self.acknowledged)]
        for log in logs:
            assert log is not None
            held = [record.value or b"" for record in read_all(log.read(0, 1 << 24, log.log_end_offset, True).records)]
            assert held[: len(self.acknowledged)] == self.acknowledged, "lost, doubled, or out of order"
            assert held in (sent, self.acknowledged)
        assert not self.cluster.halted


@pytest.fixture
def drama(request: pytest.FixtureRequest) -> Iterator[Drama]:
    made = Drama(getattr(request, "param", 1))
    yield made
    made.cluster.close()


def others(drama: Drama, *broker: int) -> list[int]:
    return [it for it in drama.cluster.ids if it not in broker]


def move_leadership_off(drama: Drama, controller: int) -> int:
    """A leader that is not the controller."""
    if drama.leader() == controller:
        drama.cluster.process(controller).kill()
        drama.more(1)
        drama.cluster.start_broker(controller)
        drama.until(lambda: len(drama.isr()) == 3, "a whole ISR")
    return drama.leader()


@pytest.mark.parametrize("drama", range(3), indirect=True)
def test_a_killed_leader_is_replaced_within_half_a_second(drama: Drama) -> None:
    drama.more(20)
    drama.longest_gap = 0.0
    drama.cluster.kill(drama.leader())
    drama.more(20)
    assert drama.longest_gap < 0.5
    drama.finish()


def test_a_killed_controller_is_replaced_and_so_is_what_it_led(drama: Drama) -> None:
    drama.more(20)
    controller = drama.controller()
    drama.longest_gap = 0.0
    drama.cluster.kill(controller)
    assert drama.until(lambda: any(s.controller.is_active for s in drama.cluster.alive()), "a controller", 1) < 0.5
    drama.more(20)
    assert drama.longest_gap < 0.6
    drama.finish()


@pytest.mark.parametrize("harm", ["pause", "cut", "power", "resets"])
def test_what_is_not_a_refusal_moves_nothing(drama: Drama, harm: str) -> None:
    drama.more(20)
    leader, controller = drama.leader(), drama.controller()
    epoch = max(drama.leaders)
    if harm == "pause":
        drama.cluster.process(leader).pause()
        drama.cluster.process(controller).pause()
    elif harm == "cut":
        drama.cluster.cut_off(leader)
        drama.cluster.kill(leader)  # its kernel refuses, and nobody hears it
    elif harm == "power":
        drama.cluster.lose_power(f"broker-{leader}")
    else:
        for _ in range(5):
            for pair in list(drama.cluster.network.connections):
                drama.cluster.network.reset(pair)
            drama.pass_time(0.15)
    drama.pass_time(4)
    assert max(drama.leaders) == epoch
    if harm in ("pause", "resets") or controller != leader:
        assert drama.cluster.servers[controller].controller.is_active
    drama.finish()


def test_a_listener_that_goes_away_and_comes_back_makes_its_broker_live_again(drama: Drama) -> None:
    drama.more(20)
    leader = move_leadership_off(drama, drama.controller())
    controller = drama.controller()
    port = BROKER_PORT + leader - 1
    network = drama.cluster.network
    listener = network.listeners.pop(port)
    for pair in list(network.connections):
        if any(side.local[1] == port for side in pair):
            network.reset(pair)
    drama.until(lambda: drama.leader() != leader, "another leader", 2)
    assert leader in drama.cluster.servers[controller].controller._machine.context.suspected
    drama.more(20)
    network.listeners[port] = listener
    drama.until(lambda: len(drama.isr()) == 3, "it is back in the ISR", 30)
    drama.finish()


@pytest.mark.parametrize("seed", range(9))
def test_whatever_happens_nothing_acknowledged_is_lost_and_each_epoch_has_one_leader(seed: int) -> None:
    drama = Drama(seed, kops_controller_fast_failover_window_ms=(20, 100, 400)[seed % 3])
    chance = drama.world.random
    cluster, network = drama.cluster, drama.cluster.network
    drama.more(10)
    for _ in range(14):
        broker = chance.choice(cluster.ids)
        process = cluster.process(broker)
        what = chance.choice(["kill", "kill", "start", "start", "pause", "resume", "cut", "heal", "resets", "listener"])
        if what == "kill" and not process.dead:
            process.kill()
        elif what == "start" and process.dead:
            cluster.start_broker(broker)
        elif what in ("pause", "resume"):
            process.pause() if what == "pause" else process.resume()
        elif what == "cut":
            network.cut(f"broker-{broker}", chance.choice([f"broker-{it}" for it in cluster.ids] + ["zookeeper"]))
        elif what == "heal":
            network.heal()
        elif what == "resets":
            for pair in list(network.connections):
                if chance.random() < 0.5:
                    network.reset(pair)
        elif what == "listener" and (listener := network.listeners.pop(BROKER_PORT + broker - 1, None)) is not None:
            for pair in list(network.connections):
                if any(side.local[1] == listener.port for side in pair):
                    network.reset(pair)
            back = drama.world.now + chance.choice([0.05, 0.3, 2.0])

            def restore(port: int = listener.port, held: object = listener, of: object = process) -> None:
                if not of.dead and port not in network.listeners:  # type: ignore[attr-defined]
                    network.listeners[port] = held  # type: ignore[assignment]

            drama.world.at(back, restore)
        drama.pass_time(chance.choice([0.02, 0.1, 0.3, 1.0, 5.0]))
    drama.pass_time(2.5)
    drama.finish()
    cluster.close()
