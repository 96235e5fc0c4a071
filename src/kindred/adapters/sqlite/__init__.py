"""Ports on SQLite files: several processes on one machine share them."""
