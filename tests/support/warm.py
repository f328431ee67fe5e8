"""The `study` command without its imports: each call is forked from a process that has done them.

For commands that print and end. `command.study` starts a new interpreter, as a user does.
"""

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock

from command import Ended

FORKING = """
import json, os, sys
import analysis.report, study.record.ledger, study.runtime.run
from study.cli import main

for line in sys.stdin:
    asked = json.loads(line)
    if (child := os.fork()) == 0:
        os.environ.clear()
        os.environ.update(asked["environment"])
        os.chdir(asked["cwd"])
        for number, name in enumerate((os.devnull, asked["out"], asked["err"])):
            os.dup2(os.open(name, os.O_RDWR | os.O_CREAT), number)
        sys.argv = ["study", *asked["arguments"]]
        sys.exit(main())
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
ALONE = Lock()
"""Lock of the call in progress."""


def study(*arguments: str, cwd: Path) -> Ended:
    """Run `study` with `arguments` in `cwd` to its end."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with TemporaryDirectory() as folder:
        out, err = Path(folder) / "out", Path(folder) / "err"
        asked = {"arguments": arguments, "cwd": str(cwd), "environment": environment}
        with ALONE:
            warm = _warm()
            print(json.dumps(asked | {"out": str(out), "err": str(err)}), file=warm.stdin, flush=True)
            code = int(warm.stdout.readline())
        return Ended(code, out.read_text(encoding="utf-8"), err.read_text(encoding="utf-8"))


@cache
def _warm() -> subprocess.Popen[str]:
    """Start the process that imports everything; it ends with this one."""
    return subprocess.Popen(
        [sys.executable, "-P", "-c", FORKING],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
