"""`kindred users`: what is held of a person."""

import sys

import msgspec
from cyclopts import App

from kindred.cli.session import opened_stores
from kindred.core.ids import check_id

users = App(name="users", help="Export what is held of a person.")


@users.command(name="export")
async def export(user: str, /) -> None:
    """Print everything that is held of USER, a JSON object to a line: `GET …/export`, and log and lake besides."""
    from kindred.app.person_export import export_person
    from kindred.core.clock import SystemClock
    from kindred.jobs.person_events import person_events

    user, names, encoder = check_id(user, "USER"), {user}, msgspec.json.Encoder()

    def tell(line: dict[str, object]) -> None:
        sys.stdout.buffer.write(encoder.encode(line) + b"\n")

    count = 0
    async with opened_stores() as stores:
        async for line in export_person(stores, user, SystemClock().now()):
            if line["kind"] == "person":
                names |= {line["user_id"], *line["merged_users"]}
            tell(line)
            count += 1
        async for line in person_events(stores.log, stores.lake, sorted(names)):
            tell(line)
            count += 1
    tell({"kind": "end", "lines": count})
    sys.stdout.flush()
