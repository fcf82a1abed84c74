"""Kafka on the wire: messages, batches, records, errors."""
