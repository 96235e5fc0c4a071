"""`kindred token`: bearer tokens."""

from typing import Annotated

from cyclopts import App, Parameter

from kindred.cli.output import Json, emit_json, note, show, table, when
from kindred.cli.session import opened_stores, read_settings
from kindred.core.clock import SystemClock
from kindred.core.errors import InvalidInput, NotFound

token = App(name="token", help="Create, list and revoke bearer tokens.")


@token.command(name="create")
async def create_token(
    *,
    scopes: Annotated[str | None, Parameter(help="Any of read, write and admin, with commas; default read.")] = None,
    name: Annotated[str, Parameter(help="What it is for; shown in the list.")] = "",
    publishable: Annotated[bool, Parameter(negative="", help="For web pages: it only tracks events.")] = False,
    origins: Annotated[str, Parameter(help="With --publishable: the pages it is good for, with commas.")] = "",
) -> None:
    """Make a token and print it, alone, once: only its hash is kept."""
    from kindred.api.tokens import mint, mint_publishable
    from kindred.app.sections import ServerConfig

    if publishable and scopes is not None:
        raise InvalidInput("--publishable has a scope of its own: leave --scopes out")
    if origins and not publishable:
        raise InvalidInput("--origins goes with --publishable")
    settings, now = read_settings(), SystemClock().now()
    if publishable:
        text, kept = mint_publishable(origins.split(","), name, now)
    else:
        text, kept = mint((scopes or "read").split(","), name, now)
    async with opened_stores(settings) as stores:
        await stores.tokens.add(kept)
    print(text)
    allowed = settings.section(ServerConfig).origins
    for origin in (scope.partition("@")[2] for scope in kept.scopes if publishable):
        if origin not in allowed:
            note(f"Browsers keep pages of {origin} from using it: add it to server.origins.", style="yellow")
    note("This is the only time that the token is shown.", style="dim")


@token.command(name="list")
async def list_tokens(*, as_json: Json = False) -> None:
    """List all tokens, newest first, revoked ones too."""
    async with opened_stores() as stores:
        tokens = await stores.tokens.tokens()
    if as_json:
        emit_json(
            [
                {"id": t.token_id, "name": t.name, "scopes": t.scopes, "created": t.created, "revoked": t.revoked}
                for t in tokens
            ]
        )
        return
    if not tokens:
        show("No tokens yet: `kindred token create --scopes read,write` makes one.")
        return
    rows = [(t.token_id, t.name or "–", ", ".join(t.scopes), when(t.created), when(t.revoked)) for t in tokens]
    show(table(["id|cyan", "name", "scopes", "created|dim", "revoked|red"], rows))


@token.command(name="revoke")
async def revoke_token(token_id: str, /) -> None:
    """Revoke a token by its id; servers refuse it within seconds."""
    async with opened_stores() as stores:
        if not await stores.tokens.revoke(token_id, SystemClock().now()):
            raise NotFound(f"no live token has the id {token_id!r}: `kindred token list` shows them")
    show(f"Token {token_id} is revoked.", style="green")
