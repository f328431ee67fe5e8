"""A study as a user of Ray Tune would write it: `python tune_peer.py CONFIGS.json EPOCHS`.

Optuna searches for two metrics, actors are reused, training is plain PyTorch and ranks are counted. The
trials are exactly the configurations in the file, so both sides train the same.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import ray
import torch
from optuna.samplers import RandomSampler
from peers import PlainWithFastRanks
from ray import tune
from ray.tune.search.optuna import OptunaSearch

from trainable.contract import SHARINGS, Config
from trainable.data.interactions import Fold
from trainable.data.registry import load

SPACE = {
    "weight": tune.uniform(0.0, 1.0),
    "sharing": tune.choice(list(SHARINGS)),
    "learning_rate": tune.loguniform(1e-5, 1e-1),
}
FIXED: dict[str, Any] = {
    "weight_decay": 0.0,
    "ranking_loss": "one-minus-sigmoid",
    "batch_size": 256,
    "dim": 32,
    "hidden": 64,
    "average": 0.0,
    "negatives": "all",
}


class Trial(tune.Trainable):
    """One configuration; a step is an epoch and its evaluation."""

    def setup(self, config: dict[str, Any], *, fold: Fold, epochs: int) -> None:
        """Use one core."""
        torch.set_num_threads(1)
        self.fold, self.epochs = fold, epochs
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Start a new configuration in this process."""
        self.peer = PlainWithFastRanks(self.fold, Config(**new_config, **FIXED, epochs=self.epochs))
        return True

    def step(self) -> dict[str, float]:
        """Train and measure."""
        self.peer.epoch()
        return self.peer.evaluate()


CORES = 2


def main(configs: list[dict[str, Any]], epochs: int) -> None:
    """Run the study, and print the final metrics of its trials."""
    fold = load("ml-100k", split="per-user", split_seed=0).search
    ray.init(address="local", num_cpus=CORES, include_dashboard=False, log_to_driver=False)
    search = OptunaSearch(
        metric=["mrr", "mse"], mode=["max", "min"], sampler=RandomSampler(seed=0), points_to_evaluate=configs
    )
    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(Trial, fold=fold, epochs=epochs), {"cpu": 1}),
        param_space=SPACE,
        tune_config=tune.TuneConfig(search_alg=search, num_samples=len(configs), reuse_actors=True),
        run_config=tune.RunConfig(
            storage_path=str(Path.cwd()),
            stop={"training_iteration": epochs},
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
            verbose=0,
        ),
    )
    results = tuner.fit()
    if results.errors:
        raise results.errors[0]
    names = ("mrr", "mse", "training_iteration")
    print(json.dumps([{name: result.metrics[name] for name in names} for result in results]))


if __name__ == "__main__":
    os.environ.update(TUNE_DISABLE_AUTO_CALLBACK_LOGGERS="1", RAY_AIR_NEW_OUTPUT="0")
    main(json.loads(Path(sys.argv[1]).read_text()), int(sys.argv[2]))
