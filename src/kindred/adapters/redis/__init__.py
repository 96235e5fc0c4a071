"""Ports on Redis: folded state on one server, cache, notices and leases on another."""
