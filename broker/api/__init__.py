"""One module per family of APIs: a request becomes calls on the broker's parts and a reply (kafka.server.KafkaApis)."""
