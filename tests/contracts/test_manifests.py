"""The tools of each cluster accept its manifests, and every service needs a token."""

import copy
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import version
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
    assert launcher["file_mounts"] == {"/home/study/.ray/auth_token": "~/.ray/auth_token"}  # no password
    for commands in (launcher["head_start_ray_commands"], launcher["worker_start_ray_commands"]):
        assert [line for line in commands if "ray start" in line and "RAY_AUTH_MODE=token" in line]


def test_the_launchers_image_is_the_dockerfiles(launcher: dict[str, Any]) -> None:
    """Its files go to the home folder of the image's user."""
    assert "--create-home --uid 1000 --shell /bin/bash study" in (DOCKER / "Dockerfile").read_text()
    assert all(place.startswith("/home/study/") for place in launcher["file_mounts"])


# --- KubeRay ---------------------------------------------------------------------------------------------

KUSTOMIZE = ("kubectl", "kustomize")
ONE_EACH = ("ConfigMap", "PersistentVolumeClaim", "Service", "StatefulSet", "PodDisruptionBudget", "RayJob")
KINDS = Counter([*ONE_EACH, "NetworkPolicy", "NetworkPolicy"])
SECRET = "study-postgres"


def rendered(folder: Path) -> list[dict[str, Any]]:
    """The objects of an overlay, as `kubectl apply --kustomize` would send them."""
    done = subprocess.run([*KUSTOMIZE, folder], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return list(yaml.safe_load_all(done.stdout))


@pytest.fixture(params=["cpu", "gpu"])
def overlay(request: pytest.FixtureRequest) -> str:
    """The name of an overlay."""
    if shutil.which("kubectl") is None:
        assert "CI" not in os.environ, "kubectl is missing"
        pytest.skip("wants kubectl")
    return str(request.param)


@pytest.fixture
def documents(overlay: str) -> list[dict[str, Any]]:
    """The objects of an overlay."""
    return rendered(DOCKER / "kubernetes" / overlay)


@pytest.fixture
def objects(documents: list[dict[str, Any]]) -> dict[str, Any]:
    """The objects of an overlay by kind; of several of a kind the last."""
    return {document["kind"]: document for document in documents}


def pods(job: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The pods of a RayJob's cluster, each as Kubernetes would get it: the head, then workers."""
    cluster = job["spec"]["rayClusterSpec"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        yield {"apiVersion": "v1", "kind": "Pod", **{"metadata": {"name": "pod"}} | group["template"]}


def all_pods(objects: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The pods that an overlay makes: PostgreSQL's, the submitter, and those of the cluster."""
    yield objects["StatefulSet"]["spec"]["template"]
    yield objects["RayJob"]["spec"]["submitterPodTemplate"]
    yield from pods(objects["RayJob"])


def containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return [*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]]


def test_kubernetes_takes_every_object_and_every_pod(documents: list[dict[str, Any]]) -> None:
    assert Counter(document["kind"] for document in documents) == KINDS
    (job,) = [document for document in documents if document["kind"] == "RayJob"]
    for document in (*(d for d in documents if d is not job), *pods(job)):
        kubernetes_validate.validate(document, KUBERNETES, strict=True)


def test_every_pod_keeps_the_restricted_standard(objects: dict[str, Any]) -> None:
    """kubernetes.io/docs/concepts/security/pod-security-standards, and the autoscaler beside the head."""
    beside = objects["RayJob"]["spec"]["rayClusterSpec"]["autoscalerOptions"]["securityContext"]
    for pod in all_pods(objects):
        own = pod["spec"]["securityContext"]
        assert own["runAsNonRoot"]
        assert own["runAsUser"] > 0
        assert own["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & {*pod["spec"]}
        assert {kind for v in pod["spec"].get("volumes", ()) for kind in v} <= {
            *("name", "secret", "configMap", "persistentVolumeClaim")
        }
        for context in (beside, *(c["securityContext"] for c in containers(pod))):
            assert context == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def test_the_head_alone_of_the_cluster_has_the_databases_password(objects: dict[str, Any]) -> None:
    head, *others = pods(objects["RayJob"])
    assert SECRET in json.dumps(head)
    assert SECRET not in json.dumps([others, objects["RayJob"]["spec"]["submitterPodTemplate"]])


def test_pods_have_limits_versions_and_a_registrys_secret(objects: dict[str, Any], overlay: str) -> None:
    tag = {"cpu": "0.1.0-cpu", "gpu": "0.1.0-cuda"}[overlay]
    for pod in all_pods(objects):
        assert pod["spec"]["imagePullSecrets"] == [{"name": "study-registry"}]
        for container in containers(pod):
            assert container["image"] in ("postgres:17.6", f"registry.example.org/pareto-study:{tag}")
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}
            assert "memory" in container["resources"]["limits"]
    assert version("pareto-study") == "0.1.0"
    (postgres,) = containers(objects["StatefulSet"]["spec"]["template"])
    assert {"livenessProbe", "readinessProbe"} <= {*postgres}


def test_a_worker_fits_on_a_node_of_four_cpus(objects: dict[str, Any]) -> None:
    """Kubernetes keeps a part of a node for itself."""
    _, worker = pods(objects["RayJob"])
    (container,) = containers(worker)
    assert container["resources"]["requests"] == {"cpu": "3", "memory": "12Gi"}


def test_the_head_is_not_moved_while_its_study_runs(objects: dict[str, Any]) -> None:
    head, worker = pods(objects["RayJob"])
    kept = "cluster-autoscaler.kubernetes.io/safe-to-evict"
    assert head["metadata"]["annotations"] == {kept: "false"}
    assert kept not in json.dumps(worker)
    assert objects["PodDisruptionBudget"]["spec"]["maxUnavailable"] == 0


def test_only_the_cluster_reaches_the_database_and_the_cluster(documents: list[dict[str, Any]]) -> None:
    rules = {d["metadata"]["name"]: d["spec"] for d in documents if d["kind"] == "NetworkPolicy"}
    head = {"podSelector": {"matchLabels": {"ray.io/node-type": "head"}}}
    assert rules["study-postgres"]["ingress"] == [{"from": [head], "ports": [{"port": 5432}]}]
    inside, dashboard = rules["study-ray"]["ingress"]
    assert inside == {"from": [{"podSelector": rules["study-ray"]["podSelector"]}]}
    assert dashboard["ports"] == [{"port": 8265}]
    assert all(rule["policyTypes"] == ["Ingress"] for rule in rules.values())


def test_kueue_admits_the_study(overlay: str, tmp_path: Path) -> None:
    """With the component, the job waits in a queue; KubeRay starts it when Kueue clears `suspend`."""
    shutil.copytree(DOCKER / "kubernetes", tmp_path / "all")
    file = tmp_path / "all" / overlay / "kustomization.yaml"
    file.write_text(file.read_text().replace("# components:", "components:"))
    job = {d["kind"]: d for d in rendered(file.parent)}["RayJob"]
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "study-queue"
    assert job["spec"]["suspend"] is True
    jsonschema.validate(job, RAY_JOB)


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


def test_rays_autoscaler_reads_the_workers_of_the_job(objects: dict[str, Any], overlay: str) -> None:
    cluster = {
        "metadata": {"name": "study", "namespace": "default"},
        "spec": objects["RayJob"]["spec"]["rayClusterSpec"],
    }
    types = _derive_autoscaling_config_from_ray_cr(cluster)["available_node_types"]
    assert types["headgroup"]["resources"]["CPU"] == 0
    assert types["workers"]["resources"].get("GPU", 0) == {"cpu": 0, "gpu": 1}[overlay]
    assert types["workers"]["min_workers"] == 0


def test_a_retried_job_finds_its_record_folder_and_data(objects: dict[str, Any]) -> None:
    """The record outlives the pods of a job."""
    job = objects["RayJob"]
    assert job["spec"]["backoffLimit"] > 0
    assert job["spec"]["rayClusterSpec"]["authOptions"] == {"mode": "token"}
    assert spec_of(objects).storage.url == "env:STUDY_DATABASE"
    head = next(pods(job))["spec"]
    claimed = {v["name"] for v in head["volumes"] if "persistentVolumeClaim" in v}
    (container,) = head["containers"]
    kept = {m["mountPath"] for m in container["volumeMounts"] if m["name"] in claimed}
    folder = job["spec"]["entrypoint"].split()[1].removeprefix("--chdir=")
    (cache,) = [e["value"] for e in container["env"] if e["name"] == "XDG_CACHE_HOME"]
    assert kept == {f"{folder}/studies", cache}


def spec_of(objects: dict[str, Any]) -> StudySpec:
    """The spec of the study."""
    return StudySpec.from_text(objects["ConfigMap"]["data"]["study.toml"], where="study.toml")


def test_lanes_wait_for_the_overlays_kind_of_node(objects: dict[str, Any], overlay: str) -> None:
    """The cluster starts with its head alone."""
    head_alone = [Node("head", "10.0.0.1", 0.0, 0.0)]
    found = seats(spec_of(objects).runtime, head_alone, grows=True)
    assert {(seat.share.gpus, seat.node) for seat in found} == {({"cpu": 0.0, "gpu": 1.0}[overlay], None)}


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
