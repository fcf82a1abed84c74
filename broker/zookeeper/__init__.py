"""A ZooKeeper 3.8 server (standalone): ``python -m broker.zookeeper zoo.cfg`` (ZooKeeperServerMain)."""
