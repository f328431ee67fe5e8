"""Custom resources and labels of Ray that a lane asks of its node."""

import re

from study.spec.gpu_share import GRAIN

OWN_KEYS = {"CPU": "runtime.cpus_per_lane", "GPU": "runtime.gpus_per_lane"}
"""Resources that have keys of their own."""

_LABEL_NAME = r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
_LABEL_KEY = re.compile(rf"([A-Za-z0-9.-]{{1,253}}/)?{_LABEL_NAME}")
_LABEL_VALUE = re.compile(_LABEL_NAME)


def node_resources(amounts: dict[str, float]) -> dict[str, float]:
    """`amounts` themselves. ValueError for a name or an amount that Ray does not take for a lane."""
    for name, amount in amounts.items():
        if name in OWN_KEYS:
            raise ValueError(f"{name} has its own key, {OWN_KEYS[name]}; use that")
        if not name or not name.isprintable():
            raise ValueError(
                f"{name!r} is not a name of a resource; write {{ 'accelerator_type:H100' = 0.01 }}"
            )
        if amount < GRAIN or (amount > 1 and amount != int(amount)):
            raise ValueError(
                f"{amount:g} of {name} is no amount that Ray counts; use a whole number, or less than one "
                f"and at least {GRAIN:g}"
            )
    return amounts


def node_labels(wanted: dict[str, str]) -> dict[str, str]:
    """`wanted` itself. ValueError for a key or a value that no node can have as a label."""
    for key, value in wanted.items():
        if not _LABEL_KEY.fullmatch(key):
            raise ValueError(
                f"{key!r} is not a key of a node's label; write {{ 'ray.io/market-type' = 'spot' }}"
            )
        if not _LABEL_VALUE.fullmatch(value):
            raise ValueError(
                f"{value!r} is not the value of a node's label: at most 63 letters, digits, -, _ and ., the "
                "first and last a letter or digit"
            )
    return wanted
