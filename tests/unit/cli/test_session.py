"""What commands open: an application that answers as a server would."""

from pathlib import Path

import pytest

from kindred.app.app import build_app
from kindred.app.sections import SCHEMA
from kindred.cli import precomputing
from kindred.cli.session import opened_app
from kindred.ports.rules import RuleVersion
from kindred.settings.load import Settings, load_settings


@pytest.fixture
async def settings(tmp_path: Path) -> Settings:
    """Return the settings of a folder whose newest placements only a later release can use."""
    found = load_settings(SCHEMA, {"KINDRED_HOME": str(tmp_path), "KINDRED_RESERVES_ENABLED": "true"}, tmp_path)
    app = await build_app(found)
    await app.stores.rules.append(
        RuleVersion(version=1, created=0, author="later"), b'{"home": {"rules": [{"kind": "wings", "items": ["a"]}]}}'
    )
    await app.close()
    return found


async def test_placements_that_cannot_be_used_are_said_and_the_settings_hold(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    async with opened_app(settings) as app:
        assert app.placements.now.by_name == app.placements.configured
    assert "version 1 of the placements cannot be used" in capsys.readouterr().err


async def test_ranking_ahead_goes_on_under_placements_that_cannot_be_used(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    done = await precomputing.run(settings)
    assert (done.ranked, done.kept) == (0, 0)
    assert "version 1 of the placements cannot be used" in capsys.readouterr().err
