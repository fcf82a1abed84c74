"""The example files are what they say: readable by the servers, complete, and filled in where they stand."""

from collections.abc import Callable
from pathlib import Path

from broker.config import KafkaConfig
from broker.host import real_host
from kops.local import properties
from kops.local.examples import example
from tests.kops.conftest import Said


def test_config_init_writes_both_files_and_overwrites_neither(kops: Callable[..., Said], home: Path) -> None:
    assert kops("config", "init", "here").out.split() == [
        "FILE",
        "here/config/zookeeper.properties",
        "here/config/server.properties",
    ]
    assert kops("config", "init", "here").code == 4
    assert kops("config", "init", "here", "--force").code == 0


def test_the_broker_knows_every_setting_of_its_example(tmp_path: Path) -> None:
    path = tmp_path / "server.properties"
    path.write_text(example("server.properties"))
    config = KafkaConfig.load(real_host(), str(path), {})
    assert config.unknown == ()
    assert (config.broker_id, config.zookeeper_connect) == (0, "127.0.0.1:2181")


def test_a_setting_is_replaced_where_it_stands_also_when_it_is_commented_out(tmp_path: Path) -> None:
    plain = example("server.properties")
    filled = example("server.properties", {"broker.id": "7", "log.retention.bytes": "5", "own.setting": "x"})
    assert "\nbroker.id=7\n" in filled
    assert "\nlog.retention.bytes=5\n" in filled
    assert filled.endswith("own.setting=x\n")
    assert len(filled.splitlines()) == len(plain.splitlines()) + 1


def test_what_kops_reads_of_a_brokers_file(tmp_path: Path) -> None:
    path = tmp_path / "s.properties"
    path.write_text("broker.id=2\nlisteners=PLAINTEXT://:9095\nlog.dir=/a\nzookeeper.connect=z:1/x\n")
    read = properties.broker_file(str(path), ["log.dirs=/b, /c"])
    assert (read.id, read.address, read.log_dirs, read.binds_everywhere) == (2, "127.0.0.1:9095", ("/b", "/c"), True)


def test_what_kops_reads_of_a_zookeepers_file(tmp_path: Path) -> None:
    path = tmp_path / "zoo.cfg"
    path.write_text("tickTime=2000\ndataDir=/var/zk\nclientPort=2182\n")
    assert properties.zookeeper_file(str(path)).address == "127.0.0.1:2182"
