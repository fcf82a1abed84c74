"""The broker's own ZooKeeper client (kafka.zk and kafka.zookeeper)."""
