"""The section `verdict`: the front in a sentence, the state of the study, and warnings."""

from analysis import text
from analysis.questions.confirmation import confirmation
from analysis.report.blocks import Section, Text
from analysis.report.sections import confirmed
from analysis.tables import Tables

ONE_SEED = "One seed per configuration: another seed would change each of these numbers."

NOISE_ON_ML100K = (
    "On MovieLens-100K, split per user, differences under 0.02 in MRR (first hit) or MSE between two "
    "configurations are within the noise of the seed, and selecting the best of 50 such numbers makes the "
    "front's hypervolume look 1.2 to 1.5 times as large as it is."
)
"""Over seeds: MRR sd .003 to .014, MSE sd .005 to .017."""

CHOICE_BIAS = "Selecting the best of such numbers makes the front look better than it is."

CONFIRM_FIRST = "Confirm the front with fresh seeds before relying on it."

NO_VALIDATION = (
    "This split has no validation part: the front is selected and shown on the same test set, so its values "
    "are better than new users would give."
)


def verdict(tables: Tables) -> Section:
    """The front in a sentence, the state of the study, and warnings."""
    blocks = [Text(_answer(tables), "answer"), Text(_state(tables))]
    points, again = tables.evaluated, confirmation(tables)
    if again is not None:
        blocks.insert(1, Text(confirmed.answer(tables, again), "answer"))
    if not tables.manifest["data"]["has_validation"]:
        blocks.append(Text(NO_VALIDATION, "warning"))
    if again is None and len(points) and points["replicates"].min() <= 1:
        blocks.append(Text(_noise(tables), "warning"))
    blocks += [Text(str(warning), "warning") for warning in tables.manifest["data"]["warnings"]]
    numbers = {
        "trials": len(tables.trials),
        "evaluated": len(points),
        "configurations": points["trial"].nunique(),
        "front": len(tables.front),
        "hypervolume": tables.hypervolume,
        **{f"reference_{name}": value for name, value in zip(tables.names, tables.reference, strict=True)},
    }
    return Section("verdict", "Verdict", blocks, numbers)


def _noise(tables: Tables) -> str:
    """Warning of the noise of one seed, with numbers for the data and split where it was measured."""
    data = tables.manifest["data"]
    known = (data["source"], data["split"]) == ("ml-100k", "per-user")
    return f"{ONE_SEED} {NOISE_ON_ML100K if known else CHOICE_BIAS} {CONFIRM_FIRST}"


def _answer(tables: Tables) -> str:
    """The front in a sentence, or the reason for none."""
    up, right = tables.goals
    points, front = tables.evaluated, tables.front
    if not len(tables.trials):
        return "No trial has been recorded, so there is nothing to compare yet."
    if not len(points):
        return f"None of the {text.count(len(tables.trials), 'trial')} gave a point: there is no front."
    best, last = (front.iloc[0], front.iloc[-1]) if len(front) else (points.iloc[0], points.iloc[0])
    ends = (
        f"{up.label} {text.fixed(best[up.name], up.decimals)} at {right.label} "
        f"{text.fixed(best[right.name], right.decimals)}"
    )
    if len(front) > 1:
        ends = (
            f"from {ends} to {up.label} {text.fixed(last[up.name], up.decimals)} at {right.label} "
            f"{text.fixed(last[right.name], right.decimals)}"
        )
    return (
        f"The front has {len(front):,} of {text.count(len(points), 'evaluated point')} "
        f"({text.count(points['trial'].nunique(), 'configuration')}), {ends}, on {tables.split}. "
        f"Hypervolume {text.volume(tables.hypervolume)} against the reference ({reference(tables)})."
    )


def reference(tables: Tables) -> str:
    """The reference point in words."""
    return ", ".join(
        f"{goal.label} {text.fixed(value, goal.decimals)}"
        for goal, value in zip(tables.goals, tables.reference, strict=True)
    )


def _state(tables: Tables) -> str:
    """The state of the study, its trials by state, and the time when the test set was opened."""
    manifest = tables.manifest
    counts = ", ".join(f"{number} {state}" for state, number in manifest["counts"].items() if number)
    complete = "complete" if manifest["complete"] else "not complete"
    said = f"The study is {complete} ({manifest['reason']}). Trials: {counts or 'none'}."
    if tables.split == "test":
        return f"{said} All numbers are on the test set."
    opened = manifest["test_opened"]
    return f"{said} The test set {f'was opened {opened}' if opened else 'has not been opened'}."
