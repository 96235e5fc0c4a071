"""`kindred state rebuild` on a real data folder, beside a server."""

import json
from pathlib import Path

from tests.e2e.platform.server import Server, kindred


def test_the_state_is_rebuilt_compared_and_replaced(home: Path, start) -> None:
    server: Server = start(home)
    assert server.port
    said = json.loads(kindred(home, "state", "rebuild", "--json").stdout)
    assert said["equal"] is True
    assert said["compared"]["user@2"] > 100
    busy = kindred(home, "state", "rebuild", "--replace", "--wait", "0.5", check=False)
    assert busy.returncode == 4
    assert "--no-consume" in busy.stderr
    server.stop()
    done = json.loads(kindred(home, "state", "rebuild", "--replace", "--json").stdout)
    assert done["replaced"] > 100
    assert not (home / "state.rebuilding").exists()
    assert "is what its events say" in kindred(home, "state", "rebuild").stderr


def test_wrong_wishes_are_refused(home: Path) -> None:
    both = kindred(home, "state", "rebuild", "--replace", "--into", "local:next", check=False)
    assert (both.returncode, "not both" in both.stderr) == (2, True)
    live = kindred(home, "state", "rebuild", "--into", "local:state", check=False)
    assert (live.returncode, "is the live state" in live.stderr) == (2, True)
