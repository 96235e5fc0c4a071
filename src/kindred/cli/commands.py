"""All commands, and how every one of them ends."""

import os
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError

from kindred import __version__
from kindred.cli.backup import backup, restore
from kindred.cli.catalog import catalog
from kindred.cli.consuming import consume
from kindred.cli.demo import demo
from kindred.cli.doctor import doctor
from kindred.cli.events import events
from kindred.cli.exits import Exit, report
from kindred.cli.explaining import explain
from kindred.cli.features import features
from kindred.cli.jobs import job, jobs
from kindred.cli.lake import lake
from kindred.cli.loading import import_data
from kindred.cli.log import log
from kindred.cli.models import models
from kindred.cli.output import note
from kindred.cli.placements import placements
from kindred.cli.precomputing import precompute
from kindred.cli.running import run_all
from kindred.cli.serving import serve
from kindred.cli.settings import config
from kindred.cli.slates import popular, recommend, similar, trending
from kindred.cli.state import state
from kindred.cli.tokens import token
from kindred.cli.training import evaluate, train
from kindred.cli.tuning import tune
from kindred.cli.users import users

_HELP = """Recommendations that learn within seconds and explain themselves.

KINDRED_HOME names the data folder (default `.kindred`); every setting has a KINDRED_… variable.
"""
_CODES = "Exit codes: 0 done, 1 failure, 2 wrong usage or settings, 3 not ready, 4 conflict, 5 a store is in trouble."

app = App(
    name="kindred",
    help=_HELP,
    help_epilogue=_CODES,
    version=__version__,
    help_format="plaintext",
    suppress_keyboard_interrupt=False,
)
app.command(demo)
app.command(import_data, name="import")
app.command(train)
app.command(tune)
app.command(serve)
app.command(run_all, name="run")
for _command in (
    backup,
    restore,
    consume,
    precompute,
    job,
    jobs,
    recommend,
    similar,
    trending,
    popular,
    explain,
    evaluate,
    doctor,
):
    app.command(_command)
for _group in (catalog, config, events, features, lake, log, models, placements, state, token, users):
    app.command(_group)


def execute(argv: Sequence[str]) -> int:
    """Run a command line and return its exit code; say in a sentence on stderr what went wrong."""
    try:
        result = app(list(argv), exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
        return result if isinstance(result, int) else Exit.OK
    except CycloptsError as error:
        said = str(error).partition(" Available commands:")[0].rstrip(".")
        note(f"kindred: {said}{'' if said.endswith('?') else '.'}", style="red")
        note("`kindred --help` lists the commands, `kindred COMMAND --help` explains one.")
        return Exit.USAGE
    except BrokenPipeError:
        # The reader, such as `head`, has what it wanted; Python must not flush into the closed pipe again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK
    except (Exception, KeyboardInterrupt) as error:
        return report(error)
