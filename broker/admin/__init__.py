"""Creation and change of topics and settings, whoever asks (kafka.server.ZkAdminManager)."""
