"""The OpenAPI document: examples and descriptions that FastAPI does not derive from types."""

from typing import Any

from fastapi import FastAPI

from study.service import schemas
from study.spec import StudySpec

SPEC_EXAMPLE = {
    "name": "mine",
    "data": {"source": "ml-100k"},
    "space": {"weight": {"logit": [0.5, 0.9997]}, "sharing": ["none", "both"]},
    "budget": {"trials": 40},
}

SPEC_EXAMPLE_TOML = """name = "mine"

[data]
source = "ml-100k"

[space]
weight = { logit = [0.5, 0.9997] }
sharing = ["none", "both"]

[budget]
trials = 40
"""

_SPEC = StudySpec.model_validate(SPEC_EXAMPLE)

_BEGAN, _ENDED = "2026-01-31T12:00:00.000+00:00", "2026-01-31T12:00:09.500+00:00"

_POINT_EXAMPLE = {"mrr": 0.412, "mrr_all": 0.081, "mse": 0.861}

_CONFIG_EXAMPLE = schemas.ConfigOut(
    weight=0.985, sharing="both", learning_rate=1e-3, weight_decay=0.0, ranking_loss="one-minus-sigmoid",
    batch_size=256, dim=32, hidden=64, epochs=20, evaluate_every=1,
    average=0.0, negatives="all",
)  # fmt: skip

_SUMMARY = schemas.Summary(
    name="mine", fingerprint=_SPEC.fingerprint, state="running", reason="by process 4711 on head",
    stage=schemas.StageProgressOut(
        name="searching", done=1, planned=40, unit="trials", words="searching 1 of 40 trials"
    ),
    counts=schemas.Counts(completed=1, running=1), member_epochs=27, share=0.034, wall_s=12.5, left_s=355.0,
    front=1, hypervolume=0.00364,
)  # fmt: skip

_STUDY = schemas.Study(
    summary=_SUMMARY,
    sampler="tpe",
    objectives=("mrr", "mse"),
    reference={"mrr": 0.302, "mrr_all": 0.057, "mse": 0.894},
    front=[
        schemas.FrontPoint(
            trial=0, epoch=20, beats_trivial=True, test=None, config=_CONFIG_EXAMPLE, **_POINT_EXAMPLE
        )
    ],
    growth=[schemas.Growth(trial=0, at_s=9.5, hypervolume=0.00364)],
    lanes=[schemas.LaneOut(lane="1.0", trials=[schemas.HeldOut(trial=1, epoch=7, of=20)])],
    fresh=None,
    confirmation=None,
    job=None,
    cursor="1_1.7",
    spec=_SPEC.model_dump(mode="json", exclude_none=True),
)

_TRIAL = schemas.Trial(
    trial=0, state="completed", reason="trained its 20 epochs", origin="tpe", weight=0.985,
    sharing="both", learning_rate=1e-3, weight_decay=0.0, ranking_loss="one-minus-sigmoid",
    batch_size="256", dim=32, hidden=64, average=0.0, negatives="all", max_epochs=20, epochs=20, epoch=20,
    started=_BEGAN, finished=_ENDED, lane="1.0", attempt=0, mrr_sd=None, mrr_all_sd=None, mse_sd=None,
    front=True, wall_s=9.5, **_POINT_EXAMPLE,
)  # fmt: skip

_MEASURED = schemas.Measured(
    trial=0, replicate=0, epoch=20, ranking_loss=0.262, rating_loss=0.803, joint_loss=0.27, wall_s=0.47,
    **_POINT_EXAMPLE,
)  # fmt: skip

ANSWERS = {
    "/studies": schemas.Summaries(total=1, offset=0, limit=1000, studies=[_SUMMARY]),
    "/studies/{name}": _STUDY,
    "/studies/{name}/trials": schemas.Trials(total=1, offset=0, limit=1000, rows=[_TRIAL]),
    "/studies/{name}/measurements": schemas.Measurements(total=1, offset=0, limit=1000, rows=[_MEASURED]),
}
"""Examples of the JSON answers to GET, by route."""

EVENT_EXAMPLE = {
    "event": "news",
    "id": "1_1.7",
    "data": schemas.News(
        points=[schemas.PointOut(trial=1, epoch=7, **_POINT_EXAMPLE)], trials=[]
    ).model_dump_json(),
}

SPEC_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"$ref": "#/components/schemas/StudySpec"},
                "examples": {"mine": {"summary": "MovieLens-100K, 40 configurations", "value": SPEC_EXAMPLE}},
            },
            "application/toml": {
                "schema": {"type": "string"},
                "examples": {"mine": {"summary": "the same as TOML", "value": SPEC_EXAMPLE_TOML}},
            },
        },
    }
}

STATUS_TEXT = {
    400: "The request is for another host, or is not valid HTTP.",
    401: "The token is missing, unknown or expired.",
    403: "The request needs a write token, or a browser sent it for another site.",
    404: "No such study.",
    406: "None of the formats in Accept is available.",
    408: "The body did not arrive in time.",
    409: "The study of this name asks another question, is complete, or is still running.",
    413: "The body is too long.",
    415: "The body is neither application/json nor application/toml.",
    422: "The request is not valid; one line per error.",
    503: "The record, or the Ray that runs studies, does not answer.",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Error answers of a route, for its description."""
    return {status: {"model": schemas.Problem, "description": STATUS_TEXT[status]} for status in statuses}


def document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, with the JSON schema of a spec and an example of each answer."""
    if app.openapi_schema is not None:
        return app.openapi_schema
    made = FastAPI.openapi(app)
    schema = StudySpec.model_json_schema(ref_template="#/components/schemas/{model}")
    made["components"]["schemas"] |= {**schema.pop("$defs"), "StudySpec": schema}
    for path, answer in ANSWERS.items():
        content = made["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]
        content["example"] = answer.model_dump(mode="json")
    streamed = made["paths"]["/studies/{name}/events"]["get"]["responses"]["200"]["content"]
    streamed["text/event-stream"]["example"] = EVENT_EXAMPLE
    return made
