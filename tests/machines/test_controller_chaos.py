"""Random plays: whatever happens, epochs only grow, leaders are in sync, and a whole cluster ends up well led."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from broker.controller.reassignment import is_moving
from broker.controller.state import PartitionState, ReplicaState
from broker.zk import znodes
from broker.zk.operations import GetChildren, GetData
from tests.machines.controller_stage import OBSERVER, Stage

BROKERS = (1, 2, 3, 4)


class Chaos:
    """Draws what happens next; keeps what every state znode said."""

    def __init__(self, seed: int, ibp: str) -> None:
        self.random = random.Random(seed)
        self.stage = Stage("1 2 3 4", ibp=ibp)
        self.alive = list(BROKERS)
        self.topics: list[str] = []
        self.made = 0
        self.story: list[str] = []
        self.states: dict[str, list[tuple[znodes.PartitionState, int]]] = {}
        for broker in BROKERS:
            self.happen(f"broker {broker} stands")

    def happen(self, line: str) -> None:
        self.story.append(line)
        self.stage._happen(line)
        self.stage.settle()
        self.observe()

    def observe(self) -> None:
        """Every state znode that there is: its epochs never go back, its leader is in its ISR."""
        for topic in self.children(znodes.TOPICS):
            for index in self.children(znodes.partitions(topic)):
                found = self.stage.zk.perform(OBSERVER, GetData(znodes.partition_state(topic, int(index))))
                if not found.ok:
                    continue
                state = znodes.PartitionState.decode(found.data)
                self.states.setdefault(f"{topic}-{index}", []).append((state, found.version))
                assert state.isr, self.story
                assert state.leader in (-1, *state.isr), self.story

    def children(self, path: str) -> tuple[str, ...]:
        return self.stage.zk.perform(OBSERVER, GetChildren(path)).children

    def step(self) -> None:
        draw = self.random.random()
        if draw < 0.2 and len(self.alive) > 1:
            self.happen(f"broker {self.take()} dies")
        elif draw < 0.45 and len(self.alive) < len(BROKERS):
            broker = self.random.choice([it for it in BROKERS if it not in self.alive])
            self.alive.append(broker)
            self.happen(f"broker {broker} returns")
        elif draw < 0.49:
            self.happen(f"broker {self.random.choice(self.alive)} bounces")
        elif draw < 0.52:
            self.suspect(self.random.choice(self.alive))
        elif draw < 0.65:
            self.made += 1
            self.topics.append(f"t{self.made}")
            layout = "; ".join(self.layout() for _ in range(self.random.randint(1, 3)))
            how = self.random.choice(["created", "half created"])
            self.happen(f"topic t{self.made} is {how} on {layout}")
        elif draw < 0.72 and self.topics:
            topic = self.topics.pop(self.random.randrange(len(self.topics)))
            self.happen(f"topic {topic} is marked for deletion")
        elif draw < 0.8 and self.topics:
            self.propose(self.random.choice(self.topics))
        elif draw < 0.82 and self.topics:
            partition = f"{self.random.choice(self.topics)}-0"
            moves = [f"reassign {partition} to {self.layout()}", f"cancel the reassignment of {partition}"]
            self.happen(self.random.choice(moves))
        elif draw < 0.86 and self.topics:
            self.happen(f"topic {self.random.choice(self.topics)} grows by {self.layout()}")
        elif draw < 0.9 and self.topics:
            path = znodes.partition_state(self.random.choice(self.topics), 0)
            self.happen(f"the reply to the next write of {path} will be lost")
        elif draw < 0.93:
            self.happen(f"broker {self.random.choice(self.alive)} asks to stop")
        elif draw < 0.96:
            broker = self.random.choice(self.alive)
            self.happen(f"broker {broker} {self.random.choice(['falls silent', 'speaks again'])}")
        elif draw < 0.98 and len(self.alive) > 1:
            self.replace_a_sleeping_controller()
        else:
            self.happen(self.random.choice(["it is time to rebalance", "elect preferred everything"]))

    def replace_a_sleeping_controller(self) -> None:
        """It sleeps while things happen, is replaced, wakes up to act on what it missed, and registers anew."""
        sleeper = self.stage.controller.broker
        if sleeper not in self.alive:
            return
        self.happen(f"controller {sleeper} pauses")
        self.alive.remove(sleeper)
        if len(self.alive) > 1:
            self.happen(f"broker {self.take()} dies")
        self.happen(f"the session of broker {sleeper} expires unnoticed")
        for _ in range(self.random.randint(0, 3)):
            self.made += 1
            self.topics.append(f"t{self.made}")
            self.happen(f"topic t{self.made} is created on {self.layout()}")
        self.happen(f"controller {sleeper} resumes")
        self.alive.append(sleeper)
        self.happen(f"broker {sleeper} bounces")

    def suspect(self, broker: int) -> None:
        """It refuses connections for a while, and answers again, or not before something else happens to it."""
        if broker == self.stage.controller.broker:
            return
        self.happen(f"broker {broker} refuses connections")
        suspected = self.stage.controller.machine.context.suspected
        if broker in suspected and self.random.random() < 0.5:
            self.happen(f"broker {broker} answers")

    def take(self) -> int:
        return self.alive.pop(self.random.randrange(len(self.alive)))

    def layout(self) -> str:
        return ",".join(map(str, self.random.sample(BROKERS, self.random.randint(1, 3))))

    def propose(self, topic: str) -> None:
        """The leader found all replicas in sync, or one out of it."""
        leadership = self.stage.controller.machine.context.leadership.get((topic, 0))  # type: ignore[call-overload]
        if leadership is None or leadership.leader not in self.alive:
            return
        replicas = self.stage.controller.machine.context.assignments[topic][0].replicas
        isr = [leadership.leader, *(it for it in replicas if it != leadership.leader and it in self.alive)]
        if self.random.random() < 0.5:
            isr = isr[:1]
        words = f"isr {','.join(map(str, isr))} epoch {leadership.leader_epoch} version {leadership.partition_epoch}"
        self.happen(f"leader {leadership.leader} proposes {topic}-0 {words}")

    def complete_moves(self) -> None:
        """Every leader finds all replicas in sync."""
        context = self.stage.controller.machine.context
        for partition in list(context.partitions()):
            if not context.is_known(partition):
                continue  # its deletion had been waiting for a move to end
            leadership, replicas = context.leadership[partition], context.assignment(partition).replicas
            isr = f"isr {','.join(map(str, replicas))}"
            if not self.stage.ibp.alter_partition:
                self.happen(f"the leader of {partition} writes {isr}")
                continue
            words = f"epoch {leadership.leader_epoch} version {leadership.partition_epoch}"
            self.happen(f"leader {leadership.leader} proposes {partition} {isr} {words}")

    def finish(self) -> None:
        """Everybody comes back."""
        for broker in BROKERS:
            self.happen(f"broker {broker} speaks again")
            self.happen(f"broker {broker} bounces" if broker in self.alive else f"broker {broker} returns")


@pytest.mark.parametrize("ibp", ["3.9", "2.6"])
@pytest.mark.parametrize("seed", range(40))
def test_whatever_happens_the_cluster_ends_up_whole(seed: int, ibp: str) -> None:
    chaos = Chaos(seed, ibp)
    for _ in range(40):
        chaos.step()
    chaos.finish()
    chaos.complete_moves()
    context = chaos.stage.controller.machine.context
    for states in chaos.states.values():
        for (before, version), (after, later) in pairwise(states):
            assert (after.leader_epoch, later) >= (before.leader_epoch, version) or later == 0, chaos.story
            assert after.controller_epoch >= before.controller_epoch, chaos.story
            assert after.leader == before.leader or after.leader_epoch > before.leader_epoch or later == 0, chaos.story
    assert sorted(context.assignments) == sorted(chaos.topics), chaos.story
    assert not context.to_delete, chaos.story
    assert not any(is_moving(context.assignment(it)) for it in context.partitions()), chaos.story
    for partition in context.partitions():
        leadership = context.leadership[partition]
        assert context.state_of(partition) is PartitionState.ONLINE, chaos.story
        assert leadership.leader in leadership.isr, chaos.story
        assert chaos.stage.look(str(partition)).startswith(
            f"leader {leadership.leader} epoch {leadership.leader_epoch} "
        ), chaos.story
    assert set(context.replica_states.values()) <= {ReplicaState.ONLINE}, chaos.story
    assert len(context.replica_states) == sum(len(context.replicas_of(topic)) for topic in context.assignments)
    assert chaos.children(znodes.DELETE_TOPICS) == ()
