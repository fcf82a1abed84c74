"""Replication: partitions led and followed by this broker, and what keeps them in step (kafka.server.ReplicaManager)."""
