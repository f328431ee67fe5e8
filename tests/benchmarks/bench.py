"""The benchmarks: `python tests/benchmarks [SECTION …] [--quick] [--large] [--page FILE]`.

Each section is written into the page as soon as it is measured. `sizes` and `gpu` need only torch, NumPy,
numba, SciPy and threadpoolctl; `epochs` and `stacked` also need MovieLens-100K; `study`, `waiting`, `asks`,
`records`, `referee`, `service` and `fresh` need the whole package; `replays` and `samplers` also need
recorded curves.
"""

import argparse
import shlex
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import epochs
import gpu
import machine
import page
import sizes
import torch
from threadpoolctl import threadpool_limits

from trainable.data.interactions import Fold
from trainable.data.registry import load
from trainable.data.splits import per_user
from trainable.data.synthetic import generate

PAGE = Path("docs/benchmarks.md")

TITLES = {
    "epochs": "An epoch on one CPU core",
    "stacked": "Members together on one CPU core",
    "study": "A whole study",
    "waiting": "Start and end of a study",
    "asks": "Time of an ask",
    "records": "A long record",
    "referee": "Lanes per referee",
    "service": "Overhead of the service",
    "sizes": "Time and memory by size",
    "gpu": "On a GPU",
    "replays": "Search on recorded curves",
    "samplers": "Other samplers on recorded curves",
    "fresh": "Fronts with fresh seeds",
}


def main() -> None:
    """Measure the given sections."""
    parser = argparse.ArgumentParser(prog="tests/benchmarks", description=__doc__.partition("\n")[0])
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(TITLES))
    parser.add_argument("--quick", action="store_true", help="a minute or two: few rounds, small sizes")
    parser.add_argument("--large", action="store_true", help="sizes of ten million ratings too")
    parser.add_argument("--machine", action="store_true", help="only print the description of the machine")
    parser.add_argument("--page", type=Path, default=PAGE, help=f"the page to update (default: {PAGE})")
    asked = parser.parse_args()
    if unknown := set(asked.sections) - set(TITLES):
        parser.error(f"{', '.join(unknown)}: not known; use {', '.join(TITLES)}")
    if asked.machine:
        print(machine.described())
        return
    torch.set_num_threads(1)
    with threadpool_limits(1):
        for name in asked.sections or TITLES:
            about = f"*{machine.described()}; `python tests/benchmarks {shlex.join(sys.argv[1:])}`*"
            text = MEASURED[name](asked.quick, asked.large)
            print(f"## {TITLES[name]}\n\n{text}\n", flush=True)
            if not text.startswith("Unmeasured") or not page.has(asked.page, TITLES[name]):
                page.put(asked.page, list(TITLES.values()), {TITLES[name]: f"{about}\n\n{text}"})


@cache
def movielens() -> Fold:
    """MovieLens-100K, downloaded if necessary."""
    return load("ml-100k", split="per-user", split_seed=0).search


@cache
def as_large() -> Fold:
    """Synthetic ratings of the same size: the same cost, without a download."""
    return per_user(generate(users=943, items=1_682, rows=100_000)[0], 0).search


def _epochs(quick: bool, _large: bool) -> str:
    return epochs.section(movielens(), rounds=2 if quick else 9)


def _stacked(quick: bool, _large: bool) -> str:
    return epochs.stacked(movielens(), counts=(1, 4) if quick else (1, 2, 4, 8, 16), rounds=2 if quick else 3)


def _asks(quick: bool, _large: bool) -> str:
    import asks  # it needs the whole package

    return asks.section(counts=(100,) if quick else (100, 1_000), rounds=3 if quick else 5)


def _records(quick: bool, _large: bool) -> str:
    import records

    return records.section(trials=200 if quick else 10_000)


def _service(quick: bool, _large: bool) -> str:
    import service

    if quick:
        return service.section(trials=16, rounds=1, studies=50)
    return service.section(trials=120, rounds=5, studies=1_000)


def _referee(quick: bool, _large: bool) -> str:
    import referee

    if quick:
        return referee.section(as_large(), before=20, trials=8, calls=100)
    return referee.section(as_large(), before=1_000, trials=96, calls=2_000)


def _sizes(quick: bool, large: bool) -> str:
    return sizes.section(sizes.QUICK if quick else (*sizes.USUAL, *(sizes.LARGE if large else ())))


def _gpu(quick: bool, _large: bool) -> str:
    if not torch.cuda.is_available():
        return gpu.UNMEASURED
    return gpu.section(as_large(), device="cuda", counts=gpu.COUNTS, rounds=2 if quick else 7)


def _study(quick: bool, _large: bool) -> str:
    import studies  # it needs pandas and Ray

    return (
        studies.section(trials=8, epochs=2, rounds=1)
        if quick
        else studies.section(trials=64, epochs=20, rounds=1)
    )


def _waiting(quick: bool, _large: bool) -> str:
    import waiting

    if quick:
        return waiting.section(trials=4, epochs=2, rounds=1)
    return waiting.section(trials=24, epochs=20, rounds=5)


def _replays(quick: bool, _large: bool) -> str:
    import replays  # it needs Optuna

    figure = None if quick else PAGE.with_name("replays.svg")
    return replays.section(orders=4 if quick else 40, figure=figure)


def _samplers(quick: bool, _large: bool) -> str:
    import replays

    return replays.others(orders=5 if quick else 40)


def _fresh(quick: bool, _large: bool) -> str:
    import fresh_front

    if quick:
        return fresh_front.section(seeds=1, member_epochs=54)
    return fresh_front.section(seeds=8, member_epochs=3_000)


MEASURED: dict[str, Callable[[bool, bool], str]] = {
    "epochs": _epochs,
    "stacked": _stacked,
    "study": _study,
    "waiting": _waiting,
    "asks": _asks,
    "records": _records,
    "referee": _referee,
    "service": _service,
    "sizes": _sizes,
    "gpu": _gpu,
    "replays": _replays,
    "samplers": _samplers,
    "fresh": _fresh,
}

if __name__ == "__main__":
    main()
