"""`kindred log repartition`: the log of events goes on with another number of partitions."""

from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from kindred.cli.output import Json, emit_json, note, show
from kindred.cli.session import read_settings
from kindred.core.errors import InvalidInput

if TYPE_CHECKING:
    from kindred.ports.log import EventLog, RepartitionedLog

log = App(name="log", help="The log of events.", help_format="plaintext")


@log.command
async def repartition(
    *, partitions: Annotated[int, Parameter(help="How many partitions the log has from now on.")], as_json: Json = False
) -> None:
    """Begin an epoch of the log with another number of partitions, while servers and consumers go on.

    For a moment servers answer 503 to events, with Retry-After. Consumers fold what stands in the old partitions to its
    end before anything of the new ones. Cut short, the command is run again.
    """
    from kindred.app.sections import StoresConfig
    from kindred.app.stores import open_port

    settings = read_settings()
    opened: EventLog = await open_port("event_log", settings.section(StoresConfig).event_log, settings.home)
    try:
        epoch = await _repartitioned(opened).repartition(partitions)
    finally:
        await opened.close()
    if as_json:
        emit_json({"epoch": epoch, "partitions": partitions})
        return
    show(f"Epoch {epoch} of the log began with {partitions:,} partitions.", style="green")
    note("Consumers fold what stands in the older epoch to its end first.")


def _repartitioned(log: "EventLog") -> "RepartitionedLog":
    """Return a log that can be repartitioned; raise InvalidInput for one that cannot."""
    from kindred.ports.log import RepartitionedLog

    if not (log.capabilities.shared and isinstance(log, RepartitionedLog)):
        raise InvalidInput(
            "the log of stores.event_log has one partition for good: only a log on Kafka can be repartitioned; "
            "set stores.event_log and stores.item_log to kafka://host:port/name (see the guide on fleets)"
        )
    return log
