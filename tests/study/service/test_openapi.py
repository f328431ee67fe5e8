"""The OpenAPI document holds: nothing that is asked fails, and no answer is one that it does not name."""

import json

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks
from serving import done, served

from study.service.app import application
from study.service.openapi import SPEC_EXAMPLE, SPEC_EXAMPLE_TOML
from study.service.schemas import Measurements, Study, Summaries, Trials
from study.spec import StudySpec

CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
LOOKS = settings(
    max_examples=10,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def test_examples_match_their_schemas(tmp_path):
    """Both of a spec are one valid spec; an answer's is such an answer."""
    asked = StudySpec.from_json(json.dumps(SPEC_EXAMPLE), where="example")
    assert StudySpec.from_text(SPEC_EXAMPLE_TOML, where="example") == asked
    document = application(tmp_path, None).openapi()
    answered = {
        (path, method): answer["content"]["application/json"]["example"]
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        for answer in [operation["responses"].get("200", {})]
        if "example" in answer.get("content", {}).get("application/json", {})
    }
    told = {
        ("/studies", "get"): Summaries,
        ("/studies/{name}", "get"): Study,
        ("/studies/{name}/trials", "get"): Trials,
        ("/studies/{name}/measurements", "get"): Measurements,
    }
    assert set(answered) == set(told)
    for route, kind in told.items():
        kind.model_validate(answered[route])


@pytest.mark.long
def test_every_answer_is_described(tmp_path):
    """Requests that the document allows, and some that it does not, to every route."""
    done(tmp_path / "studies", "done", "budget.trials=2")
    (tmp_path / "studies" / "done" / "report").mkdir()
    (tmp_path / "studies" / "done" / "report" / "index.html").write_text("<p>made</p>")
    with served(tmp_path / "studies", stream_s=0.0) as service:
        document = schemathesis.openapi.from_url(f"{service.url}/openapi.json")
        asked = dict.fromkeys(sorted(o.ok().label for o in document.get_all_operations()), 0)
        for operation in (found.ok() for found in document.get_all_operations()):
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):

                @LOOKS
                @given(case=operation.as_strategy(generation_mode=mode))
                def ask(case):
                    if "name" in case.path_parameters and len(str(case.path_parameters["name"])) > 3:
                        case.path_parameters["name"] = "done"
                    response = case.call(timeout=30, allow_redirects=False)
                    asked[case.operation.label] += 1
                    case.validate_response(response, checks=CHECKS)

                if mode is GenerationMode.POSITIVE or operation.path_parameters or operation.query:
                    ask()
        assert min(asked.values()) >= 1
