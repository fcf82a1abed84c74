"""The controller: decides who leads each partition and tells every broker (kafka.controller.KafkaController)."""
