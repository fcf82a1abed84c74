"""Replication: partitions led and followed here, and what keeps them in step (kafka.server.ReplicaManager)."""
