"""Stores on Kafka: the partitioned event log with its groups, and dead letters."""
