"""Measures the bundled broker, and Apache Kafka beside it, with ready-made batches, so that the broker is what counts."""
