"""Runs reach MLflow whole, and nothing that goes wrong there reaches the training."""

from pathlib import Path

import pytest
from tests.unit.training.test_card import RECORD

from kindred.core.errors import ConfigError
from kindred.training import mlflow_log
from kindred.training.card import card
from kindred.training.config import TrainingConfig


def test_a_run_is_logged_with_parameters_metrics_and_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow")
    from mlflow.tracking import MlflowClient

    # Next to a database, files go below the working folder.
    monkeypatch.chdir(tmp_path)
    uri = f"sqlite:///{tmp_path}/runs.db"
    mlflow_log.log_run(uri, RECORD)
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name(mlflow_log.EXPERIMENT)
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.data.params == {"als.factors": "64", "training.seed": "42"}
    assert run.data.metrics["gate.ndcg_at_10.candidate"] == 0.25
    assert run.data.metrics["gate.ndcg_at_10.candidate.low"] == 0.2
    assert run.data.metrics["seconds.gate"] == 3.0
    assert (run.info.run_name, run.info.status, run.data.tags["outcome"]) == (RECORD.version, "FINISHED", "published")
    assert (Path(client.download_artifacts(run.info.run_id, "CARD.md", str(tmp_path)))).read_text() == card(RECORD)


def test_a_server_that_cannot_be_reached_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("mlflow")
    mlflow_log.log_run("nonsense://someone:secret@nowhere", RECORD)
    assert f"run {RECORD.version} is not in MLflow" in caplog.text
    assert "secret" not in caplog.text


def test_without_mlflow_the_line_that_installs_it_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("kindred.core.extras.find_spec", lambda name: None)
    mlflow_log.log_run("anywhere", RECORD)
    assert "pip install 'kindred[mlflow]'" in caplog.text


def test_a_password_in_the_setting_is_refused() -> None:
    with pytest.raises(ConfigError, match="MLFLOW_TRACKING_PASSWORD"):
        TrainingConfig(mlflow="https://me:secret@tracking.example.org")
    assert TrainingConfig(mlflow="https://tracking.example.org").mlflow
