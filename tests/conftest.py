"""What every test relies on: one thread a worker, and examples without a deadline."""

import os

from hypothesis import settings

if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers already fill the cores; LAPACK with several threads on busy cores can be a hundred times slower.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# A deadline would fail on a busy machine; in CI a failure has to come from the change and not from new random examples.
settings.register_profile("actc", deadline=None, print_blob=True, derandomize=bool(os.environ.get("CI")))
settings.load_profile("actc")
