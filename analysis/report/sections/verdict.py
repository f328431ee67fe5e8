"""The section `verdict`: the answer of the study in a sentence, its counts and state, and warnings."""

from analysis import text
from analysis.questions.confirmation import confirmation
from analysis.questions.resampling import draws
from analysis.report.blocks import Section, Text
from analysis.report.sections import confirmed
from analysis.report.sections.decision import headline
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
    """The answer on test, or of a study without a confirmation the front; counts, state, and warnings."""
    points, data, again = tables.evaluated, tables.manifest["data"], confirmation(tables)
    blocks = [Text(_answer(tables), "answer"), Text(_state(tables))]
    if again is not None:
        drawn = draws(tables, again)
        lead, count = headline(tables, again, drawn), confirmed.answer(tables, again, drawn)
        blocks = [Text(lead, "answer"), Text(count), Text(_answer(tables)), Text(_state(tables))]
    if not data["has_validation"]:
        blocks.append(Text(NO_VALIDATION, "warning"))
    if again is None and len(points) and points["replicates"].min() <= 1:
        known = (data["source"], data["split"]) == ("ml-100k", "per-user")
        noise = NOISE_ON_ML100K if known else CHOICE_BIAS
        blocks.append(Text(f"{ONE_SEED} {noise} {CONFIRM_FIRST}", "warning"))
    blocks += [Text(str(warning), "warning") for warning in data["warnings"]]
    numbers = {
        "trials": len(tables.trials),
        "evaluated": len(points),
        "configurations": points["trial"].nunique(),
        "front": len(tables.front),
        "hypervolume": tables.hypervolume,
        **{f"reference_{name}": value for name, value in zip(tables.names, tables.reference, strict=True)},
    }
    return Section("verdict", "Verdict", blocks, numbers)


def _answer(tables: Tables) -> str:
    """The front in a sentence, or the reason for none."""
    points, front = tables.evaluated, tables.front
    if not len(tables.trials):
        return "No trial has been recorded, so there is nothing to compare yet."
    if not len(points):
        return f"None of the {text.count(len(tables.trials), 'trial')} gave a point: there is no front."
    best, last = (front.iloc[0], front.iloc[-1]) if len(front) else (points.iloc[0], points.iloc[0])
    first, second = (text.values(tables.goals, point[tables.names], " at ") for point in (best, last))
    ends = f"from {first} to {second}" if len(front) > 1 else first
    reference = text.values(tables.goals, tables.reference)
    return (
        f"The front has {len(front):,} of {text.count(len(points), 'evaluated point')} "
        f"({text.count(points['trial'].nunique(), 'configuration')}), {ends}, on {tables.split}. "
        f"Hypervolume {text.volume(tables.hypervolume)} against the reference ({reference})."
    )


def _state(tables: Tables) -> str:
    """The state of the study, its trials by state, and the time when the test set was opened."""
    manifest = tables.manifest
    counts = ", ".join(f"{number} {state}" for state, number in manifest["counts"].items() if number)
    complete = "complete" if manifest["complete"] else "not complete"
    summary = f"The study is {complete} ({manifest['reason']}). Trials: {counts or 'none'}."
    if tables.split == "test":
        return f"{summary} All numbers are on the test set."
    opened = manifest["test_opened"]
    return f"{summary} The test set {f'was opened {opened}' if opened else 'has not been opened'}."
