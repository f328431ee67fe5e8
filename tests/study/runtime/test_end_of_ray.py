"""A thread that collects garbage while Ray ends does not end the process."""

import subprocess
import sys

import pytest

SCRIPT = """
import threading, time
import ray
from study import StudySpec
from study.runtime.ray_start import connected

class Cycle: ...

def write_a_report():
    worker = ray._private.worker.global_worker
    while worker.connected:
        time.sleep(0.001)
    while references:
        garbage = Cycle()
        garbage.itself, garbage.reference = garbage, references.pop()
        [[] for _ in range(2000)]  # enough for Python to collect

with connected(StudySpec.preset("smoke", ["runtime.address=local"])):
    references = [ray.put(number) for number in range(500)]
    thread = threading.Thread(target=write_a_report)
    thread.start()
thread.join()
print("written")
"""


@pytest.mark.ray
def test_a_report_is_written_while_ray_ends():
    """Hours of training do not end with exit status 1 and no message."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=240)
    assert (done.returncode, done.stdout) == (0, "written\n"), done.stderr
