"""What Kubernetes is given: judged by its own schemas, and by what the example promises of every pod."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from airbyte_dagster_tests.production.dockerfile import Stage
from airbyte_dagster_tests.production.tools import judge, python_tool

#: The oldest that is not at its end, and the newest that the schemas have.
VERSIONS = ("1.33", "1.37")
_RUN_POD = Path(__file__).with_name("run_pod.py")
_SECRET = re.compile(r"(?i)(password|secret|token|client_id)")


def judge_manifests(manifests: Iterable[Mapping[str, Any]]) -> None:
    """Have Kubernetes' schemas, in which nothing unknown is allowed, judge them."""
    with tempfile.TemporaryDirectory() as name:
        files = []
        for number, manifest in enumerate(manifests):
            files.append(Path(name, f"{number}.yaml"))
            files[-1].write_text(yaml.safe_dump(dict(manifest)))
        assert files
        for version in VERSIONS:
            judge([python_tool("kubernetes-validate"), "--strict", "-k", version, *files])


def launched_job(image: Stage, launcher: Mapping[str, Any], name: str, context: Mapping[str, Any]) -> dict[str, Any]:
    """The job that the launcher of the image's Dagster makes for a run.

    Args:
        image: The image, whose Python runs it.
        launcher: `run_launcher` of dagster.yaml.
        name: Of the image that the code location has.
        context: The container context of the code location.
    """
    given = json.dumps({"launcher": launcher, "image": name, "context": context})
    printed = image.run("python", "-c", _RUN_POD.read_text(), given=given, variables={"DAGSTER_HOME": ""})
    return dict(json.loads(printed.splitlines()[-1]))


def pod_of(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The pod's specification in a deployment, a job or a cron job."""
    spec = manifest["spec"]
    if manifest["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    return dict(spec["template"]["spec"])


def check_pod(manifest: Mapping[str, Any], secrets: set[str]) -> None:
    """A pod of the example's image: no root, no rights, bounds of memory, and secrets by reference alone.

    Args:
        manifest: What has the pod.
        secrets: Names of the secrets that its container gets whole.
    """
    pod = pod_of(manifest)
    security = pod["securityContext"]
    assert (security["runAsNonRoot"], security["runAsUser"]) == (True, 10001)
    (container,) = pod["containers"]
    rights = container["securityContext"]
    assert (rights["allowPrivilegeEscalation"], rights["capabilities"]) == (False, {"drop": ["ALL"]})
    assert container["resources"]["requests"].keys() == {"cpu", "memory"}
    assert container["resources"]["limits"].keys() == {"memory"}
    assert {one["secretRef"]["name"] for one in container.get("envFrom", []) if "secretRef" in one} == secrets
    for variable in container.get("env", []):
        assert "valueFrom" in variable or not _SECRET.search(variable["name"]), variable
