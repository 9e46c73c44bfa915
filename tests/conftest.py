"""Two busy threads on a shared two-core machine are slower than one for networks as small as the tests' are."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
