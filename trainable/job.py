"""The job of a lane: all that its session needs, in one object that is sent to it."""

import platform
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import trainable
from trainable.contract import StudyError
from trainable.data.interactions import Fold
from trainable.engines.engine import Engine
from trainable.engines.registry import engine


@dataclass(frozen=True, slots=True)
class Origin:
    """The code that a process runs: version, path and source hash of the package, and version of Python."""

    version: str
    path: str
    sha256: str
    python: str

    @classmethod
    def here(cls) -> "Origin":
        """The origin of this process."""
        folder = Path(trainable.__file__).parent
        digest = sha256()
        for source in sorted(folder.rglob("*.py")):
            digest.update(source.relative_to(folder).as_posix().encode() + source.read_bytes())
        return cls(version("pareto-study"), str(folder), digest.hexdigest(), platform.python_version())

    def check(self) -> None:
        """Raise StudyError if this process runs different code."""
        here = Origin.here()
        if here.python != self.python:
            raise StudyError(
                f"this worker runs Python {here.python}, the driver {self.python}; use one version everywhere"
            )
        if (here.version, here.sha256) != (self.version, self.sha256):
            raise StudyError(
                f"this worker runs pareto-study {here.version} from {here.path}, the driver {self.version} "
                f"from {self.path}, and their sources differ; install one version everywhere"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """The fold, the engine and its share of a device, the slots, and the checkpoint interval (None: never).

    `study` names the lane in Ray's dashboard. `gpu_share` is the lane's part of a GPU, if it has less than
    all. `checkpoints` is the folder of the study's checkpoints (None: none), and `marker` a file in its
    storage: only a lane that sees it uses them. With `by_user` measurements have their metrics by user, too.
    """

    fold: Fold
    seed: int
    study: str = ""
    engine: str = "auto"
    device: str = "cpu"
    threads: int = 1
    dtype: str = "float32"
    slots: int | Literal["auto"] = "auto"
    gpu_share: float | None = None
    save_every_s: float | None = None
    checkpoints: Path | None = None
    marker: Path | None = None
    by_user: bool = False
    origin: Origin = field(default_factory=Origin.here)

    @property
    def checkpoints_here(self) -> Path | None:
        """The folder of checkpoints, if this machine reaches it."""
        return self.checkpoints if self.marker is None or self.marker.exists() else None

    def build(self) -> Engine:
        """Make an engine without members."""
        return engine(
            self.engine,
            self.fold,
            seed=self.seed,
            device=self.device,
            threads=self.threads,
            dtype=self.dtype,
            gpu_share=self.gpu_share,
        )
