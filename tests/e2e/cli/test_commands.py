"""The real commands, in processes of their own, over a real data folder."""

import json
import signal
import socket
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import httpx
import pytest
from tests.e2e.cli.conftest import SMALL, Kindred, environment


def test_the_sample_is_imported_once_however_often(kindred: Kindred) -> None:
    done = kindred("import", "--sample", "--json")
    assert done.returncode == 0
    said = json.loads(done.stdout)
    assert (said["new"], said["known"], said["items"]) == (0, 100_836, 9_742)
    assert "GroupLens" in done.stderr


def test_answers_without_a_server(kindred: Kindred) -> None:
    slate = json.loads(kindred("recommend", "1", "--count", "5", "--category", "Comedy", "--json").stdout)
    assert len(slate["recommendations"]) == 5
    assert all(row["reason"] and row["source"] for row in slate["recommendations"])
    assert slate["strategy"] == "standard"
    cold = json.loads(kindred("recommend", "nobody", "--json").stdout)
    assert cold["strategy"] == "cold_start_user"
    similar = json.loads(kindred("similar", "2571", "--count", "3", "--json").stdout)
    assert len(similar["similar_items"]) == 3
    popular = json.loads(kindred("popular", "--category", "Drama", "--count", "3", "--json").stdout)
    assert len(popular["items"]) == 3
    unknown = kindred("similar", "no-such-item")
    assert unknown.returncode == 1
    assert "no-such-item" in unknown.stderr


def test_the_doctor_knows_the_platform_and_a_user(kindred: Kindred) -> None:
    done = kindred("doctor", "--json")
    assert done.returncode == 0, done.stdout
    assert {"bundle", "consumer", "stores"} <= {row["about"] for row in json.loads(done.stdout)}
    known = kindred("doctor", "--user", "1")
    assert "items are personal" in known.stdout
    assert "has ever arrived" in kindred("doctor", "--user", "nobody").stdout


def test_models_and_tokens(kindred: Kindred) -> None:
    (bundle,) = json.loads(kindred("models", "list", "--json").stdout)
    assert bundle["active"]
    assert kindred("models", "activate", bundle["version"]).returncode == 0
    assert kindred("models", "rollback").returncode == 4
    token = kindred("token", "create", "--scopes", "read,write,admin").stdout
    assert token.startswith("kd_")
    assert len(token.splitlines()) == 1


def test_runs_are_shown_and_compared(kindred: Kindred) -> None:
    shown = json.loads(kindred("models", "show", "--json").stdout)
    assert shown["outcome"] == "published"
    assert shown["parameters"]["als"]["factors"] == 8
    assert shown["window"]["interactions"] == 100_836
    table = kindred("models", "show", shown["version"]).stdout
    assert "100,836" in table
    compared = json.loads(kindred("models", "compare", "active", shown["version"], "--json").stdout)
    assert (compared["a"], compared["facts"], compared["parameters"]) == (shown["version"], {}, {})
    assert compared["seconds"]["als"]["a"] == compared["seconds"]["als"]["b"] > 0
    assert "are the same" in kindred("models", "compare", "active", "active").stdout
    card = kindred("models", "card").stdout
    assert card.startswith(f"# Model card: bundle {shown['version']}\n")
    assert "| interactions | 100,836 |" in card
    assert "no previous bundle" in kindred("models", "compare", "previous", "active").stderr
    misspelt = kindred("models", "show", shown["version"][:-1] + "~")
    assert misspelt.returncode == 1
    assert f"did you mean {shown['version']}?" in misspelt.stderr


def test_settings_are_tuned_and_written(kindred: Kindred, trained: Path) -> None:
    quick = {"KINDRED_TRAINING_HOLDOUT_USERS": "60", "KINDRED_CONTENT_MAX_TERMS": "300"}
    # So few neighbours that every trial is better.
    poor = {"KINDRED_ITEM_ITEM_NEIGHBOURS": "1", "KINDRED_ITEM_ITEM_SHRINKAGE": "100000"}
    file = trained / "kindred.toml"
    try:
        done = kindred("tune", "item_item", "--trials", "1", "--write", **quick, **poor)
        assert done.returncode == 0, done.stderr
        chosen = tomllib.loads(file.read_text())["item_item"]
        assert set(chosen) == {"similarity", "neighbours", "shrinkage", "amplification"}
        assert f"shrinkage = {chosen['shrinkage']}" in done.stdout
        assert "KINDRED_ITEM_ITEM_SHRINKAGE stands over" in done.stderr
    finally:
        file.unlink(missing_ok=True)
    unknown = kindred("tune", "item_itme")
    assert unknown.returncode == 2
    assert "did you mean `item_item`?" in unknown.stderr


def test_an_increment_without_news_publishes_nothing(kindred: Kindred) -> None:
    done = kindred("train", "--increment")
    assert done.returncode == 0
    assert "Nothing is new" in done.stdout + done.stderr
    assert kindred("train", "--increment", "--json").stdout.strip() == "null"
    assert len(json.loads(kindred("models", "list", "--json").stdout)) == 1


def test_nothing_there_yet_is_said(fresh: Kindred) -> None:
    assert fresh("doctor").returncode == 1
    slate = fresh("recommend", "1")
    assert slate.returncode == 3
    assert "kindred train" in slate.stderr
    training = fresh("train")
    assert training.returncode == 2
    assert "kindred import" in training.stderr


def test_a_mapping_that_does_not_fit_is_said(fresh: Kindred, tmp_path: Path) -> None:
    assert fresh("import", str(tmp_path / "none.toml")).returncode == 1
    mapping = tmp_path / "mapping.toml"
    mapping.write_text('source = "x"\n[interactions]\npath = "rows.csv"\n[interactions.colums]\nuser_id = "u"\n')
    done = fresh("import", str(mapping))
    assert done.returncode == 2
    assert "columns" in done.stderr


def test_a_server_serves_refuses_a_second_on_its_port_and_ends_in_order(trained: Path, kindred: Kindred) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "kindred", "serve", "--port", str(port)],
        env=environment(trained), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        assert f":{port}" in server.stdout.readline()
        ready = httpx.get(f"http://127.0.0.1:{port}/health/ready")
        assert ready.status_code == 200
        second = kindred("serve", "--port", str(port))
        assert second.returncode == 4
        assert f"port {port}" in second.stderr
        consumer = next(row for row in json.loads(kindred("doctor", "--json").stdout) if row["about"] == "consumer")
        assert str(server.pid) in consumer["said"]
    finally:
        server.send_signal(signal.SIGTERM)
        _, errors = server.communicate(timeout=100)
    assert server.returncode == 0
    assert "Traceback" not in errors


def test_the_demo_ends_by_itself_and_frees_its_port(trained: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "kindred", "demo", "--port", "0"],
        env=environment(trained, **SMALL),
        capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("after the 202") == 3
    assert "Because you" in done.stdout
    assert "What to try next" in done.stdout
    url = next(line.split()[-1] for line in done.stdout.splitlines() if line.startswith("3. Serving on"))
    with pytest.raises(httpx.TransportError):
        httpx.get(url)


def test_ctrl_c_is_no_accident(trained: Path) -> None:
    server = subprocess.Popen(
        [sys.executable, "-m", "kindred", "serve", "--port", "0"],
        env=environment(trained), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert server.stdout is not None
    server.stdout.readline()
    time.sleep(0.1)
    server.send_signal(signal.SIGINT)
    _, errors = server.communicate(timeout=100)
    assert server.returncode in (0, 130)
    assert "Traceback" not in errors
