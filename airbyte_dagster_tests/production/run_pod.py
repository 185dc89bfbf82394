"""A program for the image's Python: print the Kubernetes job that Dagster's launcher makes for a run.

On its standard input, JSON: ``launcher``, as `run_launcher` of a dagster.yaml; ``image`` and ``context``, what the code
server says of itself.
"""

import importlib
import json
import sys
from typing import Any
from unittest import mock

from dagster import DagsterRun
from dagster._core.code_pointer import FileCodePointer
from dagster._core.launcher import LaunchRunContext
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._core.test_utils import instance_for_test

_FILE, _DIRECTORY = "/opt/dagster/app/definitions/shop.py", "/opt/dagster/app"


def _job(given: dict[str, Any]) -> dict[str, Any]:
    kubernetes = importlib.import_module("kubernetes")  # only the image has it

    pointer = FileCodePointer(_FILE, "defs", _DIRECTORY)
    origin = RepositoryPythonOrigin(sys.executable, pointer, given["image"], ["dagster"], given["context"])
    run = DagsterRun(job_name="sync_shop", job_code_origin=JobPythonOrigin("sync_shop", origin))
    with (
        mock.patch("kubernetes.config.load_incluster_config"),
        mock.patch("dagster_k8s.client.DagsterKubernetesClient.production_client") as client,
        instance_for_test(overrides={"run_launcher": given["launcher"]}) as instance,
    ):
        instance.run_storage.add_run(run)
        instance.run_launcher.launch_run(LaunchRunContext(run, None))
        (call,) = client.return_value.create_namespaced_job_with_retries.mock_calls
    return dict(kubernetes.client.ApiClient().sanitize_for_serialization(call.kwargs["body"]))


if __name__ == "__main__":
    print(json.dumps(_job(json.load(sys.stdin))))
