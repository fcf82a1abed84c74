"""Measures the bundled broker, and Apache Kafka beside it, with ready-made batches: the broker is what counts."""
