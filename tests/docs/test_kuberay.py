"""The KubeRay manifests: every field is in the CRDs, every reference has its object, every command is one of ours."""

import json
import shlex
from pathlib import Path

import jsonschema
import pytest
import ray
import typer
import yaml

from pipeline.cli import app

DOCS = Path(__file__).parents[2] / "docs" / "kuberay"
CRDS = json.loads((Path(__file__).parent / "kuberay-1.7.0.json").read_text())["kinds"]
FOUND = [found for path in sorted(DOCS.glob("*.yaml")) for found in yaml.safe_load_all(path.read_text())]
CLUSTER = next(found for found in FOUND if found["kind"] == "RayCluster")
GROUPS = [CLUSTER["spec"]["headGroupSpec"], *CLUSTER["spec"]["workerGroupSpecs"]]


def check(found):
    crd = CRDS[found["kind"]]
    assert found["apiVersion"] == crd["version"]
    jsonschema.validate(found, crd["schema"], jsonschema.Draft202012Validator)


@pytest.mark.parametrize("found", [f for f in FOUND if f["kind"] in CRDS], ids=lambda f: f["kind"])
def test_every_field_is_one_of_the_crd(found):
    check(found)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "rayversion"), "2.60.0"),
        (("spec", "authOptions", "mode"), "off"),
        (("spec", "workerGroupSpecs", 0, "replicas"), "four"),
        (("spec", "headGroupSpec", "template", "spec", "containers", 0, "volumemounts"), []),
        (("spec", "headGroupSpec", "template", "spec", "containers", 0, "ports", 0, "containerPort"), "6379"),
    ],
)
def test_the_schema_refuses_what_kubernetes_would(path, value):
    wrong = json.loads(json.dumps(CLUSTER))
    place = wrong
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        check(wrong)


def test_a_worker_group_without_its_name_is_refused():
    wrong = json.loads(json.dumps(CLUSTER))
    del wrong["spec"]["workerGroupSpecs"][1]["groupName"]
    with pytest.raises(jsonschema.ValidationError, match="groupName"):
        check(wrong)


def test_the_cluster_keeps_its_token_and_runs_our_ray():
    assert CLUSTER["spec"]["authOptions"]["mode"] == "token" and CLUSTER["spec"]["authOptions"]["secretName"]
    assert CLUSTER["spec"]["rayVersion"] == ray.__version__
    assert not [found for found in FOUND if found["kind"] == "Secret"]


@pytest.mark.parametrize("group", GROUPS, ids=lambda g: g.get("groupName", "head"))
def test_a_group_hangs_together(group):
    pod = group["template"]["spec"]
    claims = {found["metadata"]["name"] for found in FOUND if found["kind"] == "PersistentVolumeClaim"}
    volumes = {volume["name"] for volume in pod["volumes"]}
    for volume in pod["volumes"]:
        assert volume.get("persistentVolumeClaim", {"claimName": next(iter(claims))})["claimName"] in claims
    for container in pod["containers"]:
        assert {mount["name"] for mount in container["volumeMounts"]} == volumes
        assert container["resources"]["requests"] == container["resources"]["limits"]
        assert container["image"] == GROUPS[0]["template"]["spec"]["containers"][0]["image"]
        assert "metrics" in {port["name"] for port in container["ports"]}
    assert group.get("minReplicas", 0) <= group.get("replicas", 0) <= group.get("maxReplicas", 0)


def test_gpus_are_asked_for_by_the_gpu_group_alone():
    asked = {g.get("groupName", "head"): "nvidia.com/gpu" in json.dumps(g["template"]) for g in GROUPS}
    assert asked == {"head": False, "cpu": False, "gpu": True}


def commands():
    texts = [found["spec"]["entrypoint"] for found in FOUND if found["kind"] == "RayJob"]
    lines = (DOCS / "README.md").read_text().splitlines()
    return texts + [line.strip() for line in lines if line.strip().startswith("klear ")]


@pytest.mark.parametrize("text", commands())
def test_every_command_is_one_of_ours(text):
    """Parsed as the command line would, without running it; what `klear submit` would submit too."""
    program, *arguments = shlex.split(text)
    assert program == "klear"
    parse(arguments)
    if "--" in arguments:
        parse(arguments[arguments.index("--") + 1 :])


def parse(arguments):
    name, *rest = arguments
    typer.main.get_command(app).commands[name].make_context(name, rest)


def test_a_job_runs_on_the_cluster_that_is_there():
    names = {found["metadata"]["name"] for found in FOUND if found["kind"] == "RayCluster"}
    selected = {f["spec"]["clusterSelector"]["ray.io/cluster"] for f in FOUND if f["kind"] == "RayJob"}
    assert selected <= names and selected
