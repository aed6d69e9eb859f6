"""What kubectl renders from k8s/ is what Kubernetes, KubeRay and Ray Serve accept."""

import copy
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from google.protobuf.descriptor_pool import Default
from pydantic import ValidationError
from ray._private.ray_constants import WORKER_PROCESS_SETUP_HOOK_ENV_VAR
from ray.serve import Application
from ray.serve.schema import ServeDeploySchema

from netgraft.app import cluster as app
from netgraft.app.ray import RAY_ENVIRONMENT
from netgraft.cli.planfile import read_plan
from netgraft.settings import Settings

ROOT = Path(__file__).parents[2]
K8S = ROOT / "k8s"
FOLDERS = ["base", "overlays/cpu", "overlays/gpu", "batch/rayjob", "batch/job"]
SCHEMA = yaml.safe_load((Path(__file__).parent / "schemas" / "kuberay.yaml").read_text())
KUBERNETES = "1.33"

Manifest = dict[str, Any]
each_folder = pytest.mark.parametrize("folder", FOLDERS)


@cache
def _rendered(folder: str) -> str:
    kubectl = Path(sys.executable).parent / "kubectl"
    command = [str(kubectl), "kustomize", str(K8S / folder)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def rendered(folder: str) -> list[Manifest]:
    """The manifests of one folder, as `kubectl apply -k` would send them."""
    return list(yaml.safe_load_all(_rendered(folder)))


def one(folder: str, kind: str) -> Manifest:
    [found] = [manifest for manifest in rendered(folder) if manifest["kind"] == kind]
    return found


def pod_templates(manifest: Manifest) -> Iterator[Manifest]:
    """Every pod template in a manifest, however deep."""
    for key, value in manifest.items() if isinstance(manifest, dict) else ():
        if key in ("template", "submitterPodTemplate"):
            yield value
        elif isinstance(value, dict):
            yield from pod_templates(value)
        elif isinstance(value, list):
            for item in value:
                yield from pod_templates(item)


def pods(folder: str) -> list[Manifest]:
    """The pods that a folder's manifests lead to."""
    return [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "pod", **template.get("metadata", {})},
            "spec": template["spec"],
        }
        for manifest in rendered(folder)
        for template in pod_templates(manifest)
    ]


def check(manifest: Manifest) -> None:
    """Raises jsonschema's or kubernetes_validate's ValidationError."""
    if manifest["apiVersion"] == "ray.io/v1":
        jsonschema.validate(manifest, SCHEMA)
    else:
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


@each_folder
def test_every_manifest_follows_its_schema(folder: str) -> None:
    manifests = rendered(folder)
    assert manifests
    for manifest in manifests:
        check(manifest)


@each_folder
def test_every_pod_template_makes_a_valid_pod(folder: str) -> None:
    found = pods(folder)
    assert found
    for pod in found:
        check(pod)


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("RayService", ["spec", "serveConfig"], "misspelt"),
        ("RayService", ["spec", "rayClusterConfig", "rayVersion"], "2.9.0"),
        ("RayService", ["spec", "rayClusterConfig", "headGroupSpec", "rayStartParams"], {"n": 0}),
        ("RayService", ["spec", "rayClusterConfig", "workerGroupSpecs", 0, "minReplicas"], None),
        ("Deployment", ["spec", "replica"], 1),
        ("Deployment", ["spec", "template", "spec", "containers", 0, "image"], 7),
        ("PersistentVolumeClaim", ["spec", "accessModes"], "ReadWriteOnce"),
    ],
)
def test_a_planted_fault_is_found(kind: str, path: list[str | int], value: object) -> None:
    manifest = copy.deepcopy(one("base", kind))
    check(manifest)
    at: Any = manifest
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    with pytest.raises((jsonschema.ValidationError, kubernetes_validate.ValidationError)):
        check(manifest)


def test_a_fault_in_a_ray_pod_template_is_found() -> None:
    pod = copy.deepcopy(pods("base")[-1])
    pod["spec"]["containers"][0]["securityContexts"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        check(pod)


@each_folder
def test_every_pod_keeps_to_the_restricted_pod_security_standard(folder: str) -> None:
    for pod in pods(folder):
        assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
        assert pod["spec"]["securityContext"]["runAsUser"] == 10001
        assert pod["spec"]["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["spec"]["automountServiceAccountToken"] is False
        for container in pod["spec"]["containers"]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}
            assert "memory" in container["resources"]["limits"]
        kinds = {kind for volume in pod["spec"].get("volumes", []) for kind in volume}
        assert kinds <= {"name", "persistentVolumeClaim", "emptyDir", "configMap"}


@each_folder
def test_no_folder_names_a_namespace_or_holds_a_secret(folder: str) -> None:
    for manifest in rendered(folder):
        assert manifest["kind"] != "Secret"
        assert "namespace" not in manifest["metadata"]
    tokens = [
        variable
        for pod in pods(folder)
        for container in pod["spec"]["containers"]
        for variable in container.get("env", [])
        if variable["name"] == "NETGRAFT_TOKEN"
    ]
    reference = {"secretKeyRef": {"name": "netgraft-token", "key": "token"}}
    assert tokens
    assert all(token == {"name": "NETGRAFT_TOKEN", "valueFrom": reference} for token in tokens)


@each_folder
def test_every_variable_is_a_setting(folder: str) -> None:
    """A misspelt NETGRAFT_ variable would be ignored in silence."""
    known = {f"NETGRAFT_{field.upper()}" for field in Settings.model_fields}
    assert set(re.findall(r"NETGRAFT_[A-Z_]+", _rendered(folder))) <= known


def serve_config() -> Manifest:
    config: Manifest = yaml.safe_load(one("base", "RayService")["spec"]["serveConfigV2"])
    return config


def test_ray_serve_accepts_the_configuration() -> None:
    accepted = ServeDeploySchema.model_validate(serve_config())
    assert accepted.grpc_options.request_timeout_s is None  # it would bound whole streams


def test_ray_serve_refuses_a_planted_fault() -> None:
    config = serve_config()
    config["applications"][1]["name"] = config["applications"][0]["name"]
    with pytest.raises(ValidationError):
        ServeDeploySchema.model_validate(config)


def test_the_applications_are_those_of_the_composition_root() -> None:
    config = serve_config()
    assert config["grpc_options"]["grpc_servicer_functions"] == app.SERVICER_FUNCTIONS
    assert {each["name"]: each["import_path"] for each in config["applications"]} == {
        name: f"{module}:app" for name, module in app.APPLICATIONS.items()
    }


@pytest.mark.parametrize("function", app.SERVICER_FUNCTIONS)
def test_each_servicer_function_exists(function: str) -> None:
    module, _, name = function.rpartition(".")
    assert callable(getattr(import_module(module), name))


@pytest.mark.parametrize("name", app.APPLICATIONS)
def test_each_application_can_be_imported_and_serves_its_whole_service(name: str) -> None:
    [path] = [e["import_path"] for e in serve_config()["applications"] if e["name"] == name]
    module, _, attribute = path.partition(":")
    application = getattr(import_module(module), attribute)
    assert isinstance(application, Application)
    service = Default().FindServiceByName(f"netgraft.v1.{name.capitalize()}")
    ingress = application._bound_deployment.func_or_class
    assert [m.name for m in service.methods if not hasattr(ingress, m.name)] == []


def test_ray_is_started_as_the_composition_root_starts_it() -> None:
    cluster = one("base", "RayService")["spec"]["rayClusterConfig"]
    head, *workers = [template["spec"]["containers"][0] for template in pod_templates(cluster)]
    env = {variable["name"]: variable.get("value") for variable in head["env"]}
    expected = RAY_ENVIRONMENT.items() - {("RAY_AUTH_MODE", "token")}  # KubeRay sets it
    assert expected <= env.items()
    assert env[WORKER_PROCESS_SETUP_HOOK_ENV_VAR] == "netgraft.serving.ray_patches.install"
    assert workers
    assert all(worker["env"] == head["env"] for worker in workers)
    assert cluster["headGroupSpec"]["rayStartParams"] == {"num-cpus": "0"}


@pytest.mark.parametrize("folder", ["base", "overlays/cpu", "overlays/gpu"])
def test_kuberay_finds_the_ports_that_it_serves(folder: str) -> None:
    containers = [c for pod in pods(folder)[1:] for c in pod["spec"]["containers"]]
    assert containers
    for container in containers:
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        assert ports["serve"] == serve_config()["http_options"]["port"] == 8000
        assert ports["serve-grpc"] == serve_config()["grpc_options"]["port"] == 9000


def test_a_worker_is_probed_by_something_that_its_image_holds() -> None:
    """KubeRay's own readiness probe of a serving worker is a wget, which a slim image lacks."""
    for group in one("overlays/gpu", "RayService")["spec"]["rayClusterConfig"]["workerGroupSpecs"]:
        [container] = group["template"]["spec"]["containers"]
        assert container["readinessProbe"]["httpGet"] == {"path": "/-/healthz", "port": "serve"}


def test_the_gpu_overlay_adds_a_group_of_gpu_workers_to_the_base() -> None:
    def groups(folder: str) -> dict[str, Any]:
        specs = one(folder, "RayService")["spec"]["rayClusterConfig"]["workerGroupSpecs"]
        return {spec["groupName"]: spec for spec in specs}

    base, gpu = groups("base"), groups("overlays/gpu")
    assert base.keys() == {"cpu"}
    assert gpu.keys() == {"cpu", "gpu"}
    assert gpu["cpu"] == base["cpu"]
    [container] = gpu["gpu"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"


@pytest.mark.parametrize("folder", ["batch/rayjob", "batch/job"])
def test_a_job_carries_out_the_plan_file_that_it_mounts(folder: str, tmp_path: Path) -> None:
    [client] = [
        pod
        for pod in pods(folder)
        if any("configMap" in volume for volume in pod["spec"].get("volumes", []))
    ]
    [container] = client["spec"]["containers"]
    [mount] = container["volumeMounts"]
    [volume] = client["spec"]["volumes"]
    config = one(folder, "ConfigMap")
    assert volume["configMap"]["name"] == config["metadata"]["name"]
    words = (
        one(folder, "RayJob")["spec"]["entrypoint"].split()
        if folder == "batch/rayjob"
        else container["command"] + container["args"]
    )
    assert words[:2] == ["netgraft", "do"]
    file = words[words.index("--file") + 1]
    assert words[words.index("--server") + 1] == "netgraft-serve-svc:9000"
    [(name, text)] = config["data"].items()
    assert file == f"{mount['mountPath']}/{name}"
    (tmp_path / name).write_text(text)
    steps = read_plan(tmp_path / name).steps
    assert [step.WhichOneof("step") for step in steps] == ["retarget", "finetune"]


def test_versions_are_those_of_the_project() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    ray = re.search(r"^ray==(\S+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert ray
    for folder in FOLDERS:
        images = {c["image"] for pod in pods(folder) for c in pod["spec"]["containers"]}
        assert images
        assert images <= {f"netgraft/services:{version}", f"netgraft/ui:{version}"}
        versions = re.findall(r"rayVersion: (\S+)", _rendered(folder))
        assert versions == [ray[1]] * (folder != "batch/job")  # which starts no Ray of its own
