"""`kindred backup` beside a server, `kindred restore` into an empty and into a used data folder."""

import json
import shutil
from pathlib import Path

from tests.e2e.platform.server import Server, kindred


def test_a_backup_of_a_serving_folder_is_restored(home: Path, start, tmp_path: Path) -> None:
    server: Server = start(home)
    copy = tmp_path / "copy"
    said = json.loads(kindred(home, "backup", str(copy), "--json").stdout)
    assert said["files"] > 10
    assert "traces" in said["left_out"]
    inside = kindred(home, "backup", str(home / "copy"), check=False)
    assert (inside.returncode, "data folder itself" in inside.stderr) == (2, True)
    again = kindred(home, "backup", str(copy), check=False)
    assert (again.returncode, "not empty" in again.stderr) == (4, True)
    other = tmp_path / "other"
    report = json.loads(kindred(other, "restore", str(copy), "--json").stdout)
    assert (report["files"], report["epoch"]) == (said["files"], 1)
    assert json.loads(kindred(other, "state", "rebuild", "--json").stdout)["equal"] is True
    slate = json.loads(kindred(other, "recommend", "1", "--json").stdout)
    assert slate["recommendations"] or slate["items"]
    refused = kindred(other, "restore", str(copy), check=False)
    assert (refused.returncode, "--force" in refused.stderr) == (4, True)
    busy = kindred(home, "restore", str(copy), "--force", check=False)
    assert (busy.returncode, "consumer is at work" in busy.stderr) == (4, True)
    server.stop()
    # One that folds nothing still answers 202, for events that would be lost with the files below it.
    with Server(home, server.token, words=("--no-consume",)):
        busy = kindred(home, "restore", str(copy), "--force", check=False)
    assert (busy.returncode, "stop its servers" in busy.stderr) == (4, True)
    kindred(home, "restore", str(copy), "--force")
    assert not [path.name for path in home.iterdir() if path.name.startswith(".re")]
    shutil.rmtree(copy / "data" / "log")
    damaged = kindred(tmp_path / "third", "restore", str(copy), check=False)
    assert (damaged.returncode, "cannot be read" in damaged.stderr) == (2, True)
    assert not (tmp_path / "third" / "state").exists()
