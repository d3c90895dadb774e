"""Checks rendered manifests.

    kubernetes.py schemas CRDS FILE…   against the Kubernetes schemas, and CRDS, a folder of custom resources
    kubernetes.py same FILE FILE       whether two files hold the same objects, in any order

Unknown fields are faults everywhere: Kubernetes would drop them in silence.
"""

import functools
import pathlib
import sys

import jsonschema
import kubernetes_validate
import yaml
from kubernetes_validate import utils

# Oldest and newest: what the chart's kubeVersion admits, and what the schemas know.
VERSIONS = ("1.27", "1.37")

# It reads a megabyte of definitions anew for every object.
utils.schema_contents = functools.lru_cache(utils.schema_contents)


def documents(path):
    """The objects of a file."""
    return [it for it in yaml.safe_load_all(pathlib.Path(path).read_text()) if it]


def name_of(manifest):
    return f"{manifest['kind']} {manifest['metadata'].get('name', '-')}"


def strict(schema):
    """The schema of a custom resource, refusing fields that it does not know."""
    if isinstance(schema, list):
        return [strict(it) for it in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: strict(value) for key, value in schema.items()}
    open_ended = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    if isinstance(schema.get("properties"), dict) and "type" in schema and not open_ended:
        schema["additionalProperties"] = False
    return schema


def custom_schemas(folder):
    """By apiVersion and kind: the schemas of a folder of custom resource definitions."""
    schemas = {}
    for path in sorted(pathlib.Path(folder).glob("*.yaml")):
        spec = yaml.safe_load(path.read_text())["spec"]
        for version in spec["versions"]:
            schema = strict(version["schema"]["openAPIV3Schema"])
            # The schema says no more of it than that it is an object.
            schema["properties"]["metadata"] = {"type": "object"}
            schemas[f"{spec['group']}/{version['name']}", spec["names"]["kind"]] = schema
    return schemas


def faults_of(manifest, custom):
    """What is wrong with one object, a line each."""
    schema = custom.get((manifest["apiVersion"], manifest["kind"]))
    if schema is not None:
        errors = jsonschema.Draft7Validator(schema).iter_errors(manifest)
        return [f"{'.'.join(map(str, it.absolute_path))}: {it.message[:300]}" for it in errors]
    faults = []
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(manifest, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            faults.append(f"({version}) {'.'.join(map(str, error.path))}: {error.message[:300]}")
        except kubernetes_validate.SchemaNotFoundError as error:
            faults.append(error.message)
    return faults


def schemas(folder, *paths):
    custom, faults, checked = custom_schemas(folder), 0, 0
    for path in paths:
        for manifest in documents(path):
            checked += 1
            for fault in faults_of(manifest, custom):
                faults += 1
                print(f"{path}: {name_of(manifest)}: {fault}")
    if checked == 0:
        print("no objects: nothing was checked")
    return faults == 0 and checked > 0


def same(first, second):
    left, right = ({name_of(it): it for it in documents(path)} for path in (first, second))
    different = [name for name in sorted(left.keys() | right.keys()) if left.get(name) != right.get(name)]
    for name in different:
        print(f"{name}: differs")
    return not different


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    sys.exit(0 if {"schemas": schemas, "same": same}[command](*arguments) else 1)
