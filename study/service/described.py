"""The OpenAPI document: what the routes' types do not say by themselves."""

from typing import Any

from fastapi import FastAPI

from study.service import examples
from study.service.answers import Problem
from study.spec import StudySpec

SPEC_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"$ref": "#/components/schemas/StudySpec"},
                "examples": {
                    "mine": {"summary": "MovieLens-100K, 40 configurations", "value": examples.SPEC}
                },
            },
            "application/toml": {
                "schema": {"type": "string"},
                "examples": {"mine": {"summary": "the same as TOML", "value": examples.SPEC_TOML}},
            },
        },
    }
}

SAID = {
    400: "The request is not for this service, or is not HTTP as it should be.",
    401: "A token is needed, and this is none, or one that has expired.",
    403: "The token may not do this, or a browser sent it for another site.",
    404: "There is no such study.",
    406: "No form of the answer that was asked for.",
    408: "The body did not come in time.",
    409: "The study under this name asks another question, or is complete.",
    413: "The body is too long.",
    415: "The body is neither application/json nor application/toml.",
    422: "Something in the request is not valid; a line for each mistake.",
    503: "The record or what runs studies cannot be reached now.",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What else a route may answer, for its description."""
    return {status: {"model": Problem, "description": SAID[status]} for status in statuses}


def document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, with the spec's own schema in it, and an example of each answer."""
    if app.openapi_schema is not None:
        return app.openapi_schema
    made = FastAPI.openapi(app)
    schema = StudySpec.model_json_schema(ref_template="#/components/schemas/{model}")
    made["components"]["schemas"] |= {**schema.pop("$defs"), "StudySpec": schema}
    for path, answer in examples.ANSWERS.items():
        told = made["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]
        told["example"] = answer.model_dump(mode="json")
    streamed = made["paths"]["/studies/{name}/events"]["get"]["responses"]["200"]["content"]
    streamed["text/event-stream"]["example"] = examples.EVENT
    return made
