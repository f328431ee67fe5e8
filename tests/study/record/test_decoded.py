"""Decoding of values that other versions wrote."""

import pytest
from members import CONFIG

from study.record.decoded import entry, plan, trial_summary

LATER = ("average", "negatives")
"""Values of a configuration that records of earlier versions lack."""


def earlier() -> dict[str, object]:
    return {name: value for name, value in CONFIG.as_dict().items() if name not in LATER}


def test_a_configuration_without_later_values_has_their_defaults() -> None:
    """Records of earlier versions can be read."""
    assert trial_summary(entry(0, {"config": earlier()}, 1)).config == CONFIG
    planned = {"trial": 0, "epoch": 3, "reason": "its rank", "config": earlier()}
    opened = {"opened": "2026-01-31T12:00:00.000+00:00", "points": [planned]}
    assert [point.config for point in plan(opened).points] == [CONFIG]


@pytest.mark.parametrize("value", [{"average": "much"}, {"negatives": "some"}, {"negatives": None}])
def test_a_wrong_later_value_is_refused(value: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=f"trial 0: config.{next(iter(value))} is "):
        entry(0, {"config": earlier() | value}, 1)
