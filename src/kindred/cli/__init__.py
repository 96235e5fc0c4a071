"""The command line: `kindred …`."""
