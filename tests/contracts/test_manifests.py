"""The tools of each cluster accept its manifests, and every service needs a token."""

import copy
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from kuberay import RAY_JOB
from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr
from ray.autoscaler._private.util import prepare_config, validate_config
from typer.main import get_command

from study.cli.app import app
from study.runtime.placement import Node, seats
from study.spec import StudySpec

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
PROGRAMS = Path(sys.executable).parent
KUBERNETES = "1.35"
SECRETS = {"RAY_AUTH_TOKEN": "a-token", "POSTGRES_PASSWORD": "a-password"}


def test_the_dockerfile_passes_its_linter() -> None:
    done = subprocess.run(
        [PROGRAMS / "hadolint", DOCKER / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


# --- compose ---------------------------------------------------------------------------------------------


def compose(text: str) -> dict[str, Any]:
    """A compose file as Docker Compose resolves it, with every profile; ValueError with its message."""
    options = ("--file=-", "--project-directory", DOCKER, "--profile=*")
    done = subprocess.run(
        [PROGRAMS / "docker-compose", *options, "config", "--format=json"],
        input=text,
        env=os.environ | SECRETS,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ValueError(done.stderr)
    return dict(json.loads(done.stdout))


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """The services as Compose resolves them."""
    return dict(compose((DOCKER / "compose.yaml").read_text(encoding="utf-8"))["services"])


def test_compose_refuses_unknown_keys() -> None:
    text = (DOCKER / "compose.yaml").read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="depend_on"):
        compose(text.replace("depends_on", "depend_on", 1))


def test_every_compose_node_reads_the_token_from_a_file(services: dict[str, Any]) -> None:
    nodes = {"head", "worker", "gpu-worker", "service"}
    assert {*services} == nodes | {"postgres"}
    for name in nodes:
        assert services[name]["environment"]["RAY_AUTH_MODE"] == "token"
        sources = {secret["source"]: secret["target"] for secret in services[name]["secrets"]}
        assert services[name]["environment"]["RAY_AUTH_TOKEN_PATH"] == sources["ray_token"]
    assert {name for name in services if "STUDY_DATABASE" in str(services[name])} == {"head", "service"}
    assert not [word for word in SECRETS.values() if word in json.dumps(services)]


def test_compose_publishes_on_this_machine_alone(services: dict[str, Any]) -> None:
    published = {
        (name, port["host_ip"], port["published"])
        for name, service in services.items()
        for port in service.get("ports", ())
    }
    assert published == {("head", "127.0.0.1", "8265"), ("service", "127.0.0.1", "8300")}


# --- ray up ----------------------------------------------------------------------------------------------


@pytest.fixture
def launcher() -> dict[str, Any]:
    """docker/ray-cluster.yaml."""
    return dict(yaml.safe_load((DOCKER / "ray-cluster.yaml").read_text(encoding="utf-8")))


def test_rays_launcher_takes_the_cluster(launcher: dict[str, Any]) -> None:
    ready = prepare_config(launcher)
    validate_config(ready)
    assert ready["available_node_types"]["gpu-worker"]["max_workers"] == ready["max_workers"]


def test_rays_launcher_refuses_a_key_it_does_not_know(launcher: dict[str, Any]) -> None:
    launcher["available_node_types"]["gpu-worker"]["min_worker"] = 1
    with pytest.raises(jsonschema.ValidationError, match="min_worker"):
        validate_config(prepare_config(launcher))


def test_every_launcher_machine_starts_with_the_token(launcher: dict[str, Any]) -> None:
    assert launcher["file_mounts"]["/home/study/.ray/auth_token"] == "~/.ray/auth_token"
    for commands in (launcher["head_start_ray_commands"], launcher["worker_start_ray_commands"]):
        assert [line for line in commands if "ray start" in line and "RAY_AUTH_MODE=token" in line]


def test_the_launchers_image_is_the_dockerfiles(launcher: dict[str, Any]) -> None:
    """Its files go to the home folder of the image's user."""
    assert "--create-home --uid 1000 --shell /bin/bash study" in (DOCKER / "Dockerfile").read_text()
    assert all(place.startswith("/home/study/") for place in launcher["file_mounts"])


# --- KubeRay ---------------------------------------------------------------------------------------------


@pytest.fixture
def objects() -> dict[str, Any]:
    """The objects of docker/rayjob.yaml by kind."""
    documents = yaml.safe_load_all((DOCKER / "rayjob.yaml").read_text(encoding="utf-8"))
    return {document["kind"]: document for document in documents}


def pods(job: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The pods of a RayJob, each as Kubernetes would get it."""
    cluster = job["spec"]["rayClusterSpec"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        yield {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, **group["template"]}


def test_kubernetes_takes_every_object_and_every_pod(objects: dict[str, Any]) -> None:
    job = objects.pop("RayJob")
    assert {*objects} == {"ConfigMap", "PersistentVolumeClaim", "Service", "StatefulSet"}
    for document in (*objects.values(), *pods(job)):
        kubernetes_validate.validate(document, KUBERNETES, strict=True)


def test_a_misspelled_field_of_a_pod_is_refused(objects: dict[str, Any]) -> None:
    pod = next(pods(objects["RayJob"]))
    pod["spec"]["containers"][0]["imagePullPolice"] = "Always"
    with pytest.raises(kubernetes_validate.ValidationError, match="imagePullPolice"):
        kubernetes_validate.validate(pod, KUBERNETES, strict=True)


def test_kuberay_takes_the_job(objects: dict[str, Any]) -> None:
    jsonschema.validate(objects["RayJob"], RAY_JOB)
    broken = copy.deepcopy(objects["RayJob"])
    broken["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]["maxReplica"] = 4
    with pytest.raises(jsonschema.ValidationError, match="maxReplica"):
        jsonschema.validate(broken, RAY_JOB)


def test_rays_autoscaler_reads_the_gpus_of_the_job(objects: dict[str, Any]) -> None:
    cluster = {
        "metadata": {"name": "study", "namespace": "default"},
        "spec": objects["RayJob"]["spec"]["rayClusterSpec"],
    }
    types = _derive_autoscaling_config_from_ray_cr(cluster)["available_node_types"]
    assert types["headgroup"]["resources"]["CPU"] == 0
    assert types["gpu"]["resources"]["GPU"] == 1
    assert types["gpu"]["min_workers"] == 0


def test_a_retried_job_finds_its_record_and_folder(objects: dict[str, Any]) -> None:
    """The record outlives the pods of a job."""
    job = objects["RayJob"]
    assert job["spec"]["backoffLimit"] > 0
    assert job["spec"]["rayClusterSpec"]["authOptions"] == {"mode": "token"}
    spec = StudySpec.from_text(objects["ConfigMap"]["data"]["study.toml"], where="rayjob.yaml")
    assert spec.storage.url == "env:STUDY_DATABASE"
    head_alone = [Node("head", "10.0.0.1", 0.0, 0.0)]
    assert {seat.share.gpus for seat in seats(spec.runtime, head_alone, grows=True)} == {1.0}
    head = next(pods(job))["spec"]
    claimed = {v["name"] for v in head["volumes"] if "persistentVolumeClaim" in v}
    (kept,) = [m["mountPath"] for m in head["containers"][0]["volumeMounts"] if m["name"] in claimed]
    folder = job["spec"]["entrypoint"].split()[1].removeprefix("--chdir=")
    assert kept == f"{folder}/studies"


def test_the_manifests_and_the_package_name_one_version_of_ray(objects: dict[str, Any]) -> None:
    (pinned,) = re.findall(r"^ray==(.+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert objects["RayJob"]["spec"]["rayClusterSpec"]["rayVersion"] == pinned


# --- docs/cluster.md -------------------------------------------------------------------------------------

PAGE = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")


def test_the_page_names_commands_and_options_that_there_are() -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    text = PAGE.replace("\\\n", " ")
    lines = re.findall(r"^ *(study .+)$", text, re.MULTILINE)
    assert len(lines) > 5
    for line in lines:
        _, name, *arguments = shlex.split(line, comments=True)
        commands[name].make_context(name, arguments)  # an unknown option raises


def test_the_page_links_to_existing_files() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", PAGE):
        assert (ROOT / "docs" / target).exists(), target
    for target in re.findall(r"docker/[\w.-]+\.yaml|docker/Dockerfile", PAGE):
        assert (ROOT / target).is_file(), target


def test_the_page_names_the_meters_that_a_study_has() -> None:
    meters = set(
        re.findall(r'"(study_\w+)"', (ROOT / "study/runtime/prometheus.py").read_text(encoding="utf-8"))
    )
    named = {name.removesuffix("_total") for name in re.findall(r"`ray_(study_\w+)`", PAGE)}
    assert named == meters
