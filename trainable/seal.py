"""One hash for a record and the tensors beside it: files that are torn, changed or mixed up do not fit it."""

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any


def seal(about: Mapping[str, Any], tensors: bytes) -> str:
    """The sha256 of a JSON-ready record, in whatever layout it is written, and of a file: 64 hex digits."""
    record = json.dumps(about, sort_keys=True).encode()
    return sha256(len(record).to_bytes(8, "little") + record + tensors).hexdigest()
