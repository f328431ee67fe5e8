"""What a lane is to train on what: everything its Session needs, in one thing that travels."""

from dataclasses import dataclass, field
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import trainable
from trainable.contract import StudyError
from trainable.data.interactions import Fold
from trainable.engines import Engine, engine


@dataclass(frozen=True, slots=True)
class Origin:
    """Which code this process runs: the package's version, where it lies, and a hash of its sources."""

    version: str
    path: str
    sha256: str

    @classmethod
    def here(cls) -> "Origin":
        """That of this process."""
        folder = Path(trainable.__file__).parent
        digest = sha256()
        for source in sorted(folder.rglob("*.py")):
            digest.update(source.relative_to(folder).as_posix().encode() + source.read_bytes())
        return cls(version("pareto-study"), str(folder), digest.hexdigest())

    def check(self) -> None:
        """StudyError where this process runs other code than the one that made this origin."""
        here = Origin.here()
        if (here.version, here.sha256) != (self.version, self.sha256):
            raise StudyError(
                f"this worker runs pareto-study {here.version} from {here.path}, the driver {self.version} "
                f"from {self.path}, and their sources differ; install one version everywhere"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """The fold, the engine and its share of a device, the slots, and how often to save (None: never).

    With `by_user` every measurement has its metrics user by user, too.
    """

    fold: Fold
    seed: int
    engine: str = "auto"
    device: str = "cpu"
    threads: int = 1
    dtype: str = "float32"
    slots: int | Literal["auto"] = "auto"
    save_every_s: float | None = None
    by_user: bool = False
    origin: Origin = field(default_factory=Origin.here)

    def build(self) -> Engine:
        """An engine without members."""
        return engine(
            self.engine,
            self.fold,
            seed=self.seed,
            device=self.device,
            threads=self.threads,
            dtype=self.dtype,
        )
