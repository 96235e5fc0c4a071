"""How a command ends: one exit code per kind of trouble, one sentence, and never a stack trace by surprise."""

import os
import sys
import tempfile
import traceback
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path

from kindred.cli.output import note
from kindred.core.errors import (
    BundleError,
    BundleRefused,
    ConfigError,
    Conflict,
    InvalidInput,
    KindredError,
    NoBundle,
    Overloaded,
)


class Exit(IntEnum):
    """The exit codes that scripts may rely on."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    NOT_READY = 3
    CONFLICT = 4
    STORE = 5
    REFUSED = 6
    INTERRUPTED = 130


_CODES: tuple[tuple[type[KindredError], Exit], ...] = (
    (ConfigError, Exit.USAGE),
    (InvalidInput, Exit.USAGE),
    (NoBundle, Exit.NOT_READY),
    (BundleError, Exit.NOT_READY),
    (BundleRefused, Exit.REFUSED),
    (Conflict, Exit.CONFLICT),
    (Overloaded, Exit.STORE),
)


def exit_code(error: KindredError) -> Exit:
    """Return the exit code of an error."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), Exit.FAILURE)


def debugging() -> bool:
    """Say whether KINDRED_DEBUG asks for stack traces."""
    return os.environ.get("KINDRED_DEBUG", "") not in ("", "0", "false")


def report(error: BaseException) -> Exit:
    """Say what went wrong on stderr and return the exit code."""
    error = _single(error)
    if debugging() and not isinstance(error, KeyboardInterrupt):
        traceback.print_exception(error)
    if isinstance(error, KindredError):
        note(f"kindred: {_sentence(error)}", style="red")
        return exit_code(error)
    if isinstance(error, KeyboardInterrupt):
        note("stopped")
        return Exit.INTERRUPTED
    place = _keep_trace(error)
    said = str(error).strip().partition("\n")[0][:200]
    note(f"kindred: unexpected {type(error).__name__}{': ' if said else ''}{said}", style="red")
    note(f"The details are in {place}; KINDRED_DEBUG=1 shows them here.")
    return Exit.FAILURE


def _single(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _sentence(error: KindredError) -> str:
    """Return what the error says, with its kind in front where the detail alone would not tell."""
    if isinstance(error, NoBundle) and "kindred train" not in error.detail:
        return f"{error.detail.rstrip('.')}: run `kindred train`"
    if isinstance(error, BundleError) and not isinstance(error, NoBundle):
        return f"{error.detail.rstrip('.')}: run `kindred models rollback`, or `kindred train`"
    if isinstance(error, InvalidInput) and error.faults:
        return "; ".join(f"{fault.pointer.lstrip('/')}: {fault.detail}".lstrip(": ") for fault in error.faults)
    return error.detail


def _keep_trace(error: BaseException) -> Path | str:
    """Append the stack trace to the data folder's error file, or to a temporary one."""
    home = Path(os.environ.get("KINDRED_HOME") or ".kindred").expanduser()
    folder = home if home.is_dir() else Path(tempfile.gettempdir())
    place = folder.absolute() / "kindred-errors.txt"
    heading = f"{datetime.now(tz=UTC).isoformat(timespec='seconds')} kindred {' '.join(sys.argv[1:])}\n"
    try:
        with place.open("a", encoding="utf-8") as file:
            file.write(heading + "".join(traceback.format_exception(error)) + "\n")
    except OSError:
        return "no file, since none could be written"
    return place
