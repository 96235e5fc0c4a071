"""What commands share: the settings, and stores or an application that are closed again."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from kindred.cli.output import note
from kindred.core.errors import ConfigError

if TYPE_CHECKING:
    from kindred.app.app import App
    from kindred.app.stores import Stores
    from kindred.settings.load import Settings


def read_settings() -> "Settings":
    """Read the settings of KINDRED_HOME; raise ConfigError when they cannot be used."""
    from kindred.app.sections import SCHEMA
    from kindred.settings.load import load_settings

    return load_settings(SCHEMA)


@asynccontextmanager
async def opened_stores(settings: "Settings | None" = None, *, alone: bool = False) -> AsyncIterator["Stores"]:
    """Open the stores alone, for commands that answer no question, and close them at the end.

    `alone`: the command has the data folder to itself already.
    """
    from kindred.app.sections import StoresConfig
    from kindred.app.stores import open_stores

    settings = settings or read_settings()
    stores = await open_stores(settings.section(StoresConfig), settings.home, alone=alone)
    try:
        yield stores
    finally:
        await stores.close()


@asynccontextmanager
async def opened_app(settings: "Settings | None" = None, *, answering: bool = True) -> AsyncIterator["App"]:
    """Build the application and close it at the end.

    `answering`: it takes over the catalogue, the active bundle and the placements first. It folds nothing and logs
    nothing of what it answers: that is for a server.
    """
    from kindred.app.app import build_app

    app = await build_app(_unlogged(settings or read_settings()))
    try:
        if answering:
            await take_over(app)
        yield app
    finally:
        await app.close()


async def take_over(app: "App") -> None:
    """Take over the catalogue, the active bundle and the placements.

    A version of those that this release cannot use is said and left alone, as a server leaves it.
    """
    await app.follower.step()
    try:
        await app.placements.step()
    except ConfigError as error:
        note(f"{error.detail}; going on as a server that starts now: with the placements of the settings")


def _unlogged(settings: "Settings") -> "Settings":
    """Return the settings without the log of what was served: a look from the command line is no exposure."""
    from kindred.recommend.config import RecommendConfig

    quiet = msgspec.structs.replace(settings.section(RecommendConfig), served_log=False)
    sections = {
        name: quiet if isinstance(value, RecommendConfig) else value for name, value in settings.sections.items()
    }
    return replace(settings, sections=sections)
