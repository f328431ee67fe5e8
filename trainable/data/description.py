"""Counts and hash of a split."""

from dataclasses import dataclass
from hashlib import sha256

from trainable.data.interactions import Split


@dataclass(frozen=True, slots=True)
class Description:
    """Counts and hash of a split, for a manifest: catalogue sizes, rows of each part, warnings.

    `sha256` covers the catalogues and each part's users, items and ratings in order: equal hashes mean the
    same rows in the same parts. `validation` is 0 in a split without a validation part.
    """

    split: str
    users: int
    items: int
    train: int
    validation: int
    test: int
    sha256: str
    warnings: tuple[str, ...]


def describe(split: Split) -> Description:
    """Count and hash a split."""
    parts = [split.train, split.validation, split.test] if split.has_validation else [split.train, split.test]
    digest = sha256()
    for ids in (split.train.user_ids, split.train.item_ids):
        digest.update(len(ids).to_bytes(8, "little"))
        digest.update("\0".join(ids.tolist()).encode())
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        for column, dtype in ((part.users, "<i4"), (part.items, "<i4"), (part.ratings, "<f4")):
            digest.update(column.astype(dtype).tobytes())
    return Description(
        split=split.name,
        users=split.train.n_users,
        items=split.train.n_items,
        train=len(split.train),
        validation=len(split.validation) if split.has_validation else 0,
        test=len(split.test),
        sha256=digest.hexdigest(),
        warnings=split.warnings,
    )
