"""Protocols named by need; every adapter of a port passes the port's one contract suite in `kindred.testing`."""
