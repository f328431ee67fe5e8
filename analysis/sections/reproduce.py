"""How to get the same numbers again, and what they do not say."""

import json
import shlex

from analysis import text
from analysis.sections import Code, Grid, Section, Text
from analysis.tables import Tables


def reproduce(tables: Tables) -> Section:
    """The command, what it ran on, the data, the whole specification, and the limits."""
    manifest = tables.manifest
    data = manifest["data"]
    parts = ", ".join(f"{part} {data[part]:,}" for part in ("train", "validation", "test"))
    facts = [
        ("study", manifest["name"]),
        ("fingerprint", manifest["fingerprint"]),
        ("version", f"pareto-study {manifest['version']}"),
        ("data", f"{data['source']}, {data['users']:,} users, {data['items']:,} items"),
        ("sha256 of the data", text.general(data["sha256"])),
        ("split", f"{data['split']}: {parts} ratings"),
        ("measured on", tables.split),
        ("started", text.general(manifest["started"])),
        ("finished", text.general(manifest["finished"])),
        *sorted(manifest["environment"].items()),
    ]
    rows = [(name, text.general(value)) for name, value in facts]
    return Section(
        "reproduce",
        "How do I get this again?",
        [
            Code(f"study run {shlex.quote(manifest['name'])}", "The command, beside the folder of studies"),
            Grid("What was run, and on what", ("fact", "value"), rows),
            Code(json.dumps(manifest["spec"], indent=2, ensure_ascii=False), "The whole specification"),
            Text(
                "Limits: offline metrics on one split of one data set; a trial is not a replicate; "
                "non-dominated means among what was evaluated here, and no more."
            ),
        ],
    )
