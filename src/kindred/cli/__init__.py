"""The command `kindred`."""

import os

# Matrices here are small and cores are shared: threads of a BLAS that spin for work cost more than they bring (on a
# loaded machine a server answered 22 requests a second with them, 127 without). Read when numpy is first imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
