"""What every test shares: hypothesis profiles, chosen by HYPOTHESIS_PROFILE, and the fixtures of real servers."""

import os
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the command line does, before anything imports numpy

from hypothesis import HealthCheck, settings

# Each module of tests/engines but the one they share brings the fixtures of one server.
_SERVERS = {each.stem for each in (Path(__file__).parent / "engines").glob("[a-z]*")} - {"running"}
pytest_plugins = [f"tests.engines.{each}" for each in sorted(_SERVERS)]

_SLOW_MACHINE = [HealthCheck.too_slow]

settings.register_profile(
    "default", max_examples=40, deadline=None, derandomize=True, suppress_health_check=_SLOW_MACHINE
)
settings.register_profile("search", max_examples=1_000, deadline=None, suppress_health_check=_SLOW_MACHINE)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
