"""TwoTask in a custom Tuner, and the content of its checkpoints."""

from pathlib import Path
from typing import Any

import pytest
import ray
from ray import tune
from ray.tune import RunConfig, TuneConfig

from trainable.contract import METRICS
from trainable.tune import TwoTask

SMALL = {"source": "synthetic", "epochs": 4, "dim": 8, "hidden": 8}
CONFIG = SMALL | {"rating_weight": 0.1, "sharing": "users", "learning_rate": 0.01}


def results(trainable: TwoTask) -> list[dict[str, Any]]:
    """The measurements until it is done, but for their times."""
    steps = [trainable.step()]
    while not steps[-1]["done"]:
        steps.append(trainable.step())
    return [{name: value for name, value in step.items() if name != "wall_s"} for step in steps]


def test_a_checkpoint_resumes_with_the_same_numbers(tmp_path: Path):
    whole = results(TwoTask(CONFIG))
    assert [step["epoch"] for step in whole] == [1, 2, 3, 4]

    first = TwoTask(CONFIG)
    for _ in range(2):
        first.step()
    first.save_checkpoint(str(tmp_path))
    second = TwoTask(CONFIG)
    second.load_checkpoint(str(tmp_path))
    assert results(second) == whole[2:]


@pytest.mark.long
@pytest.mark.ray
def test_a_custom_tuner_gets_both_metrics(tmp_path: Path):
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        tuner = tune.Tuner(
            TwoTask,
            param_space={**TwoTask.space(), **SMALL},
            tune_config=TuneConfig(num_samples=2, metric="mrr", mode="max"),
            run_config=RunConfig(storage_path=str(tmp_path), verbose=0),
        )
        fitted = tuner.fit()
    finally:
        ray.shutdown()
    assert fitted.num_errors == 0
    ended = [result.metrics for result in fitted]
    assert [metrics["epoch"] for metrics in ended] == [4, 4]
    assert all(metrics[name] > 0 for metrics in ended for name in METRICS)
    assert fitted.get_best_result().metrics["mrr"] == max(metrics["mrr"] for metrics in ended)
