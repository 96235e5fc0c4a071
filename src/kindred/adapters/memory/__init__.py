"""Ports in one process's memory: for tests, replays and trials; nothing outlives the process."""
