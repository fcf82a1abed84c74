"""The main job from start to failover, each step shown and checked: walkthroughs W1 to W4 of Kafka's own quickstart."""

import json
from collections.abc import Callable
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from kops.errors import Failed
from kops.local import ports
from kops.operations.stage import Stage, Tell

TOPIC = "my-replicated-topic"
BROKERS = (1, 2, 3)


def play(tell: Tell, wait: Callable[[], None], engine: str = "") -> None:
    """The whole story. ``engine``: options of the start commands. Raises Failed at the first thing that is not so.

    Nothing is left running in any case; the folder stays, and is named, only when something failed.
    """
    stage, failed = Stage(tell, wait), True
    try:
        with as_file(files(__package__).joinpath("access.log")) as log:
            _Story(stage, log, engine).tell()
        failed = False
    finally:
        stage.close(keep=failed)


class _Story:
    def __init__(self, stage: Stage, log: Path, engine: str) -> None:
        self.stage = stage
        self.engine = f" {engine}" if engine else ""
        self.zookeeper = ports.choose(2181, 1)[0]
        self.ports = dict(zip(BROKERS, ports.choose(9092, len(BROKERS)), strict=True))
        self.lines = len(log.read_bytes().splitlines())
        (stage.folder / "access.log").write_bytes(log.read_bytes())

    @property
    def bootstrap(self) -> str:
        return ",".join(f"127.0.0.1:{port}" for port in self.ports.values())

    def tell(self) -> None:
        self.start_zookeeper()
        self.start_brokers()
        self.look_into_zookeeper()
        self.create()
        self.produce()
        self.consume("read.log")
        leader = self.kill_the_leader()
        self.consume("read-again.log")
        self.restart(leader)
        self.read_as_a_group()
        self.delete()
        self.stop()

    def start_zookeeper(self) -> None:
        self.stage.title("Start ZooKeeper")
        self.stage.show("kops config init")
        if self.zookeeper != 2181:
            self.stage.show(_sed("zookeeper", "zookeeper", {"clientPort": str(self.zookeeper)}))
        self.stage.show(_sed("zookeeper", "zookeeper", {"dataDir": "data/zookeeper"}))
        self.stage.show(f"kops zookeeper start config/zookeeper.properties --daemon{self.engine}")
        status = json.loads(self.stage.ask(f"kops zookeeper status 127.0.0.1:{self.zookeeper} -o json"))
        self.stage.check("ZooKeeper serves", status["items"][0]["mode"] == "standalone")

    def start_brokers(self) -> None:
        self.stage.title("Start three brokers")
        for broker, port in self.ports.items():
            values = {
                "broker.id": str(broker),
                "listeners": f"PLAINTEXT://127.0.0.1:{port}",
                "log.dirs": f"data/broker-{broker}",
                "zookeeper.connect": f"127.0.0.1:{self.zookeeper}",
            }
            self.stage.show(_sed("server", f"server-{broker}", values))
        for broker in BROKERS:
            self.stage.show(f"kops broker start config/server-{broker}.properties --daemon{self.engine}")
        add = f"kops context add quickstart --use -b {self.bootstrap} --zookeeper 127.0.0.1:{self.zookeeper}"
        self.stage.show(add)
        self.stage.show("kops broker list")

    def look_into_zookeeper(self) -> None:
        self.stage.title("See them registered in ZooKeeper")
        said = self.stage.show("kops zookeeper shell ls /brokers/ids")
        self.stage.check("brokers 1, 2 and 3 are registered", "[1, 2, 3]" in said)
        said = self.stage.show("kops zookeeper get /brokers/ids/1")
        self.stage.check("broker 1 says where it is", f"PLAINTEXT://127.0.0.1:{self.ports[1]}" in said)

    def create(self) -> None:
        self.stage.title("Create a topic with three replicas")
        self.stage.show(f"kops topic create {TOPIC} --partitions 1 --replication-factor 3")
        said = self.stage.show("kops topic list")
        self.stage.check(f"{TOPIC} is listed", TOPIC in said)
        self.stage.until("all three replicas are in sync", lambda: len(self.partition()["isr"]) == len(BROKERS))
        said = self.stage.show(f"kops topic describe {TOPIC} -o kafka")
        self.stage.check("Kafka's own two lines", "PartitionCount: 1" in said and "\tPartition: 0\tLeader: " in said)

    def produce(self) -> None:
        self.stage.title(f"Write the {self.lines} lines of an nginx access log")
        said = self.stage.show(f"kops produce {TOPIC} < access.log")
        self.stage.check(f"{self.lines} records were acknowledged", f"{self.lines} records to {TOPIC}" in said)

    def consume(self, file: str) -> None:
        self.stage.title("Read them from the beginning and compare")
        self.stage.show(
            f"kops consume {TOPIC} --from-beginning --max-messages {self.lines} --timeout-ms 20000 > {file}"
        )
        self.stage.show(f"tail -n 2 {file} | cut -c 1-100")
        self.stage.show(f"cmp access.log {file} && echo the same, byte for byte")
        same = (self.stage.folder / file).read_bytes() == (self.stage.folder / "access.log").read_bytes()
        self.stage.check(f"all {self.lines} lines came back in order, none lost, none twice", same)

    def kill_the_leader(self) -> int:
        before = self.partition()
        leader = int(before["leader"])
        self.stage.title(f"Kill the leader, broker {leader}, as a power cut would")
        pid = self.pid(leader)
        self.stage.show(f"ps -p {pid} -o pid=,args= | grep -o '{pid}.*\\|server-{leader}.properties'")
        self.stage.show(f"kill -9 {pid}")
        self.stage.until("another broker leads, the dead one left the ISR", lambda: self.moved(leader))
        self.stage.show(f"kops topic describe {TOPIC} -o kafka")
        after = self.partition()
        self.stage.check("the replicas are where they were", after["replicas"] == before["replicas"])
        self.stage.show("kops broker list")
        return leader

    def moved(self, dead: int) -> bool:
        now = self.partition()
        return now["leader"] not in (dead, -1) and dead not in now["isr"]

    def restart(self, broker: int) -> None:
        self.stage.title(f"Start broker {broker} again")
        self.stage.show(f"kops broker start config/server-{broker}.properties --daemon{self.engine}")
        self.stage.until("it caught up: the ISR is whole", lambda: len(self.partition()["isr"]) == len(BROKERS))
        self.stage.show(f"kops topic describe {TOPIC} -o kafka")

    def read_as_a_group(self) -> None:
        self.stage.title("Read a third of it as a group, see how far it is behind, move it back, and undo that")
        third = self.lines // 3
        self.stage.show(f"kops consume {TOPIC} --group readers --from-beginning --max-messages {third} > third.log")
        self.stage.show("kops group describe readers")
        self.stage.check(f"it is {self.lines - third} records behind", self.lag() == self.lines - third)
        self.stage.show("kops group reset readers --to-earliest --yes")
        self.stage.check("it is to read everything again", self.lag() == self.lines)
        self.stage.show("kops undo --yes")
        self.stage.check("it is where it was", self.lag() == self.lines - third)

    def lag(self) -> int:
        return int(json.loads(self.stage.ask("kops group lag readers -o json"))["items"][0]["lag"])

    def delete(self) -> None:
        self.stage.title("Delete the topic")
        self.stage.show(f"kops topic delete {TOPIC} --yes")
        self.stage.show("kops topic list")
        names = self.stage.ask("kops topic list -o name").split()
        self.stage.check("no broker knows it any more", TOPIC not in names)
        left = [name for name in self.stage.ask("kops zookeeper ls /brokers/topics").split() if name == TOPIC]
        self.stage.check("nor does ZooKeeper", not left)

    def stop(self) -> None:
        self.stage.title("Stop everything")
        self.stage.show("kops broker stop --all")
        self.stage.show("kops zookeeper stop")
        states = json.loads(self.stage.ask("kops status -o json"))["items"]
        self.stage.check("nothing is left running", all(one["state"] == "stopped" for one in states))

    def partition(self) -> dict[str, Any]:
        """The topic's one partition as any broker sees it now; one that nobody leads while brokers come and go."""
        try:
            described = json.loads(self.stage.ask(f"kops topic describe {TOPIC} -o json --timeout 5"))
        except Failed:
            return {"leader": -1, "isr": [], "replicas": []}
        found: dict[str, Any] = described["items"][0]["partitions"][0]
        return found

    def pid(self, broker: int) -> int:
        servers = json.loads(self.stage.ask("kops status -o json"))["items"]
        return int(next(one["pid"] for one in servers if one["id"] == broker))


def _sed(source: str, target: str, values: dict[str, str]) -> str:
    """The line that copies a properties file and changes settings in it."""
    edits = " ".join(f"-e 's|^{key}=.*|{key}={value}|'" for key, value in values.items())
    if source == target:
        return f"sed -i.bak {edits} config/{source}.properties"
    return f"sed {edits} config/{source}.properties > config/{target}.properties"
