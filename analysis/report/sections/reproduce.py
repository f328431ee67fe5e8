"""The section `reproduce`: commands, versions, data, seeds, specification and limits."""

import json
import shlex
from collections.abc import Mapping
from typing import Any

from analysis import text
from analysis.report.blocks import Code, Section, TableBlock, Text
from analysis.tables import Tables

CAVEATS = (
    "Limits: these are offline metrics on one split of one data set. A trial is not a replicate. "
    "Non-dominated means non-dominated among the points evaluated here. With the same engine and versions a "
    "configuration learns the same numbers; another engine differs by rounding. With several lanes, trials "
    "may end in another order, and a sampler that learns from them then proposes other configurations."
)


def reproduce(tables: Tables) -> Section:
    """The commands, versions, data, seeds, hashes, the whole specification, and the limits."""
    manifest = tables.manifest
    data, seeds = manifest["data"], _seeds(manifest["spec"])
    parts = ", ".join(f"{part} {data[part]:,}" for part in ("train", "validation", "test"))
    facts = [
        ("study", manifest["name"]),
        ("fingerprint", manifest["fingerprint"]),
        ("version", f"pareto-study {manifest['version']}"),
        ("data", f"{data['source']}, {data['users']:,} users, {data['items']:,} items"),
        ("sha256 of the data", manifest["data"]["sha256"]),
        ("split", f"{data['split']}: {parts} ratings"),
        ("measured on", tables.split),
        *seeds.items(),
        ("started", manifest["started"]),
        ("finished", manifest["finished"]),
        *sorted(manifest["environment"].items()),
    ]
    rows = [(name, text.general(value)) for name, value in facts]
    specification = json.dumps(manifest["spec"], indent=2, ensure_ascii=False)
    return Section(
        "reproduce",
        "How do I reproduce this?",
        [
            Code(_commands(tables), "The commands, to run in the folder that contains studies/"),
            TableBlock("Versions, data and seeds", ("fact", "value"), rows),
            Code(specification, "The whole specification"),
            Text(CAVEATS),
        ],
        {"fingerprint": manifest["fingerprint"], "version": manifest["version"], **seeds},
    )


def _commands(tables: Tables) -> str:
    """The commands from the specification to this page; a spec with [confirm] needs no `study confirm`."""
    manifest, name = tables.manifest, shlex.quote(tables.manifest["name"])
    asked = manifest["confirmation"] and "confirm" not in manifest["spec"]
    confirm = [f"study confirm {name}"] if asked else []
    return "\n".join([f"study run studies/{name}/study.toml", *confirm, f"study report {name}"])


def _seeds(spec: Mapping[str, Any]) -> dict[str, int]:
    """The seeds in the specification, by section and key."""
    return {
        f"{part}.{key}": values[key]
        for part, values in spec.items()
        if isinstance(values, Mapping)
        for key in ("seed", "split_seed", "replicates")
        if key in values
    }
