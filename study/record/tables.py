"""Our tables of the record, Optuna's tables that we read, and queries that find a study in them."""

from collections.abc import Sequence

import sqlalchemy as sa

from trainable.contract import METRICS

tables = sa.MetaData()

_NUMBERS = ("ranking_loss", "rating_loss", "joint_loss", *METRICS, "wall_s")

measurements = sa.Table(
    "measurements",
    tables,
    *(sa.Column(key, sa.Integer, primary_key=True) for key in ("study", "trial", "replicate", "epoch")),
    *(sa.Column(name, sa.Float(53), nullable=False) for name in _NUMBERS),
)

MEASUREMENT_COLUMNS = tuple(c.name for c in measurements.c if c.name != "study")
"""Columns of a measurement."""

by_user = sa.Table(
    "by_user",
    tables,
    *(sa.Column(key, sa.Integer, primary_key=True) for key in ("study", "trial", "replicate", "epoch")),
    sa.Column("user", sa.Text, primary_key=True),
    *(
        sa.Column(name, sa.Float(53), nullable=False)
        for name in ("reciprocal_rank", "reciprocal_rank_all", "squared_error")
    ),
    sa.Column("ratings", sa.Integer, nullable=False),
)

judgements = sa.Table(
    "judgements",
    tables,
    sa.Column("judgement", sa.Integer, primary_key=True),
    *(sa.Column(key, sa.Integer, nullable=False) for key in ("study", "trial", "epoch")),
    sa.Column("verdict", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.UniqueConstraint("study", "trial", "epoch"),
)

runs = sa.Table(
    "runs",
    tables,
    sa.Column("run", sa.Integer, primary_key=True),
    sa.Column("study", sa.Integer, nullable=False),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("kernel", sa.Text, nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("born", sa.BigInteger, nullable=False),
    sa.Column("started", sa.Float(53), nullable=False),
    sa.Column("renewed", sa.Float(53), nullable=False),
    sa.Column("heard", sa.Float(53), nullable=False),
    sa.Column("stop", sa.Boolean, nullable=False, default=False),
    sa.Column("ended", sa.Float(53)),
    sa.Column("reason", sa.Text),
)
sa.event.listen(
    runs,
    "after_create",
    sa.DDL("CREATE UNIQUE INDEX one_open_run ON runs (study) WHERE ended IS NULL"),  # type: ignore[no-untyped-call]
)

LANE_GPUS, CHECKPOINTS = "lane_gpus", "checkpoints"
"""Facts that a first run on Ray decides: GPUs of a lane, end of the name of the folder of checkpoints."""

RECORD_SCHEMA = 3
"""Version of the record; a database with another one is refused."""

STUDIES_TABLE = sa.table("studies", *map(sa.column, ("study_id", "study_name")))

ATTRIBUTES_TABLE = sa.table("study_user_attributes", *map(sa.column, ("study_id", "key", "value_json")))
"""Optuna's tables of studies and of their facts."""


def stage_name(name: str, stage: str) -> str:
    """The name of the record of a study's stage in its database; no study's own name has a slash."""
    return name if stage == "search" else f"{name}/{stage}"


def study_id(engine: sa.Engine, name: str) -> int | None:
    """The number of a study in its database; None if there is none of this name."""
    query = sa.select(STUDIES_TABLE.c.study_id).where(STUDIES_TABLE.c.study_name == name)
    with engine.connect() as connection:
        return connection.execute(query).scalar()


def ours(engine: sa.Engine) -> bool:
    """True if a database has our tables, which are created last."""
    return set(tables.tables) <= set(sa.inspect(engine).get_table_names())


def belonging(table: sa.Table, trials: sa.Table, studies: Sequence[int]) -> sa.ColumnElement[bool] | None:
    """Condition for the rows of these studies in a table, Optuna's or ours; None if it has no such rows."""
    column = table.c
    if "study_id" in column:
        return column.study_id.in_(studies)
    if "study" in column:
        return column.study.in_(studies)
    if "trial_id" in column:
        return column.trial_id.in_(sa.select(trials.c.trial_id).where(trials.c.study_id.in_(studies)))
    return None
