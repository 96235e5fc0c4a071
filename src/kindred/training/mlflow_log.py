"""Training runs in MLflow, for those who keep all their experiments there."""

import logging
import os
from collections.abc import Iterator

from kindred.core.config import without_secrets
from kindred.core.extras import missing_extra
from kindred.training.card import FILE, card
from kindred.training.comparison import flat
from kindred.training.records import RunRecord

EXPERIMENT = "kindred"
_LONGEST_VALUE = 500
_BATCH = 100
# An unreachable server must not hold up the next training for minutes; nothing is told to anybody else.
_VARIABLES = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}

_logger = logging.getLogger(__name__)


def log_run(uri: str, record: RunRecord) -> None:
    """Log a run to the tracking server or folder at `uri`, in the experiment `kindred`: its parameters, metrics, card.

    Nothing is raised: a training must not fail for it. What went wrong is logged, and so is the line that installs
    MLflow where it is missing.
    """
    needed = missing_extra("mlflow")
    if needed is not None:
        _logger.warning("training.mlflow is set and MLflow is missing: %s", needed)
        return
    for name, value in _VARIABLES.items():
        os.environ.setdefault(name, value)
    try:
        _log(uri, record)
    # Whatever a server, a driver or a disk does here, the bundle is published already.
    except Exception as error:
        _logger.warning("run %s is not in MLflow at %s: %s", record.version, without_secrets(uri), type(error).__name__)


def _log(uri: str, record: RunRecord) -> None:
    from mlflow.entities import Metric, Param, RunTag
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    known = client.get_experiment_by_name(EXPERIMENT)
    experiment = client.create_experiment(EXPERIMENT) if known is None else known.experiment_id
    run = client.create_run(experiment, start_time=record.started, run_name=record.version).info.run_id
    tags = {"outcome": record.outcome, "kind": record.kind, "code_version": record.code_version, "error": record.error}
    params = [Param(name, str(value)[:_LONGEST_VALUE]) for name, value in flat(record.parameters)]
    metrics = [Metric(name, value, record.finished, 0) for name, value in _figures(record)]
    client.log_batch(run, tags=[RunTag(name, value) for name, value in tags.items() if value])
    for start in range(0, max(len(params), len(metrics)), _BATCH):
        batch = slice(start, start + _BATCH)
        client.log_batch(run, params=params[batch], metrics=metrics[batch])
    client.log_text(run, card(record), FILE)
    client.set_terminated(run, "FINISHED" if record.outcome == "published" else "FAILED", end_time=record.finished)


def _figures(record: RunRecord) -> Iterator[tuple[str, float]]:
    """Go through metrics, the ends of their intervals, and seconds, under names that MLflow allows."""
    for name, figure in record.metrics.items():
        plain = name.replace("@", "_at_")
        for suffix, value in (("", figure.value), (".low", figure.low), (".high", figure.high)):
            if value is not None:
                yield plain + suffix, value
    for step, seconds in record.seconds.items():
        yield f"seconds.{step}", seconds
    if record.peak_mib is not None:
        yield "peak_mib", record.peak_mib
