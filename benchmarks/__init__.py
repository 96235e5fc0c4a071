"""Figures, each printed as a table beside a limit or a peer measured in the same run."""
