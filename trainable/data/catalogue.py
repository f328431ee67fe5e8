"""Row numbers for original ids, from 0."""

from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from trainable.data.interactions import Ids, as_ids

INTEGER = r"^(0|-?[1-9][0-9]{0,17})$"


def index(column: Any) -> tuple[NDArray[np.int32], Ids]:
    """Return the catalogue row (n,) of each id in an Arrow column of integers or strings, and the catalogue.

    Ids ascend, by value if all are written as integers, else by code point. So the catalogue does not depend
    on the order of the rows.
    """
    encoded = column.dictionary_encode().combine_chunks()
    ids = pc.cast(encoded.dictionary, "string")
    integers = pc.all(pc.match_substring_regex(ids, INTEGER)).as_py()
    names = as_ids(ids.to_pylist())
    order = np.argsort(names.astype(np.int64) if integers else names)
    row = np.empty(len(order), dtype=np.int32)
    row[order] = np.arange(len(order), dtype=np.int32)
    return row[encoded.indices.to_numpy()], names[order]
