"""Ports on PostgreSQL: any number of machines share one schema of one database."""
