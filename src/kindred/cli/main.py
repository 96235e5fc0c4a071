"""The command `kindred`: loads its commands only when it can already be stopped."""

import sys
from collections.abc import Sequence

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command line and end the process with its exit code."""
    code = run(sys.argv[1:] if argv is None else argv)
    sys.stdout.flush()
    sys.exit(code)


def run(argv: Sequence[str]) -> int:
    """Run a command line and return its exit code; say in a sentence on stderr what went wrong."""
    try:
        # Loading takes half a second, in which Ctrl-C must be no stack trace either.
        from kindred.cli.commands import execute

        return execute(argv)
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")
        return INTERRUPTED
