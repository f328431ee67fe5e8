"""Start the benchmarks as on a user's machine: OpenBLAS's own kernel, compiled bytecode. See `bench.py`.

OpenBLAS reads its variables when NumPy is imported, so the process is replaced before that.
"""

import os
import sys
from pathlib import Path

FORCED = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "PYTHONDONTWRITEBYTECODE")

if __name__ == "__main__":
    free = {name: value for name, value in os.environ.items() if name not in FORCED}
    bench = str(Path(__file__).with_name("bench.py"))
    os.execve(sys.executable, [sys.executable, bench, *sys.argv[1:]], free)
