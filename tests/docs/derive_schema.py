"""Derive the schema that `test_kuberay.py` checks the manifests against, from the CRDs of a KubeRay release.

    python tests/docs/derive_schema.py RELEASE COMMIT rayclusters.yaml rayjobs.yaml

The CRDs are 2 MB of YAML. Kept are the names and types of all fields of every object that our manifests use. So a
misspelt field, a wrong type or a missing one is found; below a field that they begin to use, only after another run.
"""

import json
import sys
from pathlib import Path
from typing import Any

import yaml

DOCS = Path(__file__).parents[2] / "docs" / "kuberay"
OUT = Path(__file__).parent
KEPT = ("type", "enum", "required", "pattern", "minimum", "maximum", "format")


def manifests() -> list[dict[str, Any]]:
    """All objects of the manifests."""
    return [found for path in sorted(DOCS.glob("*.yaml")) for found in yaml.safe_load_all(path.read_text())]


def trimmed(schema: dict[str, Any], used: list[Any]) -> dict[str, Any]:
    """The schema as far as the values `used` go, one level of types below."""
    found = {name: schema[name] for name in KEPT if name in schema}
    if schema.get("x-kubernetes-int-or-string"):
        found = {"type": ["integer", "string"]} | ({"pattern": schema["pattern"]} if "pattern" in schema else {})
    objects = [value for value in used if isinstance(value, dict)]
    if "properties" in schema and objects:
        found["properties"] = {
            name: trimmed(below, [value[name] for value in objects if name in value])
            for name, below in schema["properties"].items()
        }
        found["additionalProperties"] = False
    elif isinstance(schema.get("additionalProperties"), dict):
        values = [value for one in objects for value in one.values()]
        found["additionalProperties"] = trimmed(schema["additionalProperties"], values)
    elif "items" in schema:
        found["items"] = trimmed(schema["items"], [item for one in used if isinstance(one, list) for item in one])
    if not objects:
        found.pop("required", None)
    return found


def main(release: str, commit: str, *paths: str) -> None:
    """Write the schema of the kinds that the CRD files define."""
    kinds = {}
    for path in paths:
        crd = yaml.safe_load(Path(path).read_text())["spec"]
        version = next(v for v in crd["versions"] if v["storage"])
        used = [found for found in manifests() if found["kind"] == crd["names"]["kind"]]
        schema = version["schema"]["openAPIV3Schema"] | {"required": ["apiVersion", "kind", "metadata", "spec"]}
        kinds[crd["names"]["kind"]] = {"version": f"{crd['group']}/{version['name']}", "schema": trimmed(schema, used)}
    source = f"field names and types of the CRDs of ray-project/kuberay {release} ({commit}), Apache-2.0"
    text = json.dumps({"source": source, "kinds": kinds}, indent=1, sort_keys=True)
    (OUT / f"kuberay-{release.removeprefix('v')}.json").write_text(text + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
