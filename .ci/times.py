"""Print the times of the stages of a CI run and of its slowest tests."""

import sys
from pathlib import Path
from xml.etree import ElementTree

SLOWEST = 15


def main(results: Path) -> None:
    """Print both tables; `results` holds `stages` (name, seconds, exit status) and pytest's JUnit files."""
    stages = [line.split("\t") for line in (results / "stages").read_text(encoding="utf-8").splitlines()]
    print("\nseconds  stage")
    for name, seconds, status in stages:
        print(f"{seconds:>7}  {name}{'' if status == '0' else ': failed'}")
    print(f"{sum(int(seconds) for _, seconds, _ in stages):>7}  total")
    trees = [ElementTree.parse(file) for file in results.glob("*.xml")]  # noqa: S314 - pytest wrote them
    cases = [case for tree in trees for case in tree.iter("testcase")]
    cases.sort(key=lambda case: -float(case.get("time", 0)))
    print(f"\nseconds  the {min(SLOWEST, len(cases))} slowest of {len(cases)} tests")
    for case in cases[:SLOWEST]:
        print(f"{float(case.get('time', 0)):7.1f}  {case.get('classname')}::{case.get('name')}")


main(Path(sys.argv[1]))
