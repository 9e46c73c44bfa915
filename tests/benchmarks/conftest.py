"""The benchmarks are scripts beside each other; their shared modules are imported from their folder."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
