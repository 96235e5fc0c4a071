"""The fleet's files say what the program understands."""

import re
from pathlib import Path

import yaml

from kindred.app.sections import SCHEMA, StoresConfig
from kindred.app.stores import check_combination
from kindred.settings.load import load_settings

DEPLOY = Path(__file__).parents[3] / "deploy"


def test_the_fleet_s_settings_can_be_used(tmp_path: Path) -> None:
    """The file and the variables of the compose file together name a store for each port."""
    (tmp_path / "kindred.toml").write_text((DEPLOY / "kindred.toml").read_text())
    service = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["server-1"]
    variables = {name: re.sub(r"\$\{\w+:\?\}", "secret", value) for name, value in service["environment"].items()}
    stores = load_settings(SCHEMA, variables, tmp_path).section(StoresConfig)
    check_combination(stores)
    schemes = {port: getattr(stores, port).partition(":")[0] for port in ("event_log", "item_log", "state", "catalog")}
    assert schemes == {"event_log": "kafka", "item_log": "kafka", "state": "redis", "catalog": "postgresql"}
    assert stores.cache != stores.state


def test_every_command_of_the_fleet_exists() -> None:
    """What the services run are commands of the program."""
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    commands = {each["command"][0] for each in services.values() if each.get("image") == "kindred"}
    known = (DEPLOY.parent / "docs" / "guide" / "command-line.md").read_text()
    assert commands
    assert not [command for command in commands if f"kindred {command}" not in known]
