"""Settings that every test shares: hypothesis profiles, chosen by HYPOTHESIS_PROFILE."""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the command line does, before anything imports numpy

from hypothesis import HealthCheck, settings

_SLOW_MACHINE = [HealthCheck.too_slow]

settings.register_profile(
    "default", max_examples=40, deadline=None, derandomize=True, suppress_health_check=_SLOW_MACHINE
)
settings.register_profile("search", max_examples=1_000, deadline=None, suppress_health_check=_SLOW_MACHINE)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
