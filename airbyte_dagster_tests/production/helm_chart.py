"""The example's values with Dagster's own chart, which no package registry has: ``make test-helm-chart CHART=…``.

`CHART` is what Helm takes: ``dagster/dagster``, after ``helm repo add``, or a directory. Its schema of values refers to
Kubernetes' own by an address; where that can't be reached, Helm says so.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Sequence
from typing import Any

import pytest
import yaml
from dagster._config import validate_config
from dagster._core.instance.config import dagster_instance_config_schema

from airbyte_dagster_tests.production.dockerfile import Stage
from airbyte_dagster_tests.production.image import EXAMPLE
from airbyte_dagster_tests.production.manifests import check_pod, judge_manifests, launched_job, pod_of
from airbyte_dagster_tests.production.tools import helm, judge

INSTANCE = yaml.safe_load((EXAMPLE / "dagster.yaml").read_text())


@functools.cache
def rendered() -> Sequence[dict[str, Any]]:
    """What the chart makes of the values."""
    chart = os.environ["CHART"]
    variables = {name: value for name, value in os.environ.items() if name.startswith(("HELM_", "XDG_"))}
    text = judge(
        [helm(), "template", "dagster", chart, "--namespace", "dagster", "-f", EXAMPLE / "helm" / "values.yaml"],
        variables,
    )
    return [manifest for manifest in yaml.safe_load_all(text) if manifest]


def named(kind: str, name: str) -> dict[str, Any]:
    (found,) = (one for one in rendered() if (one["kind"], one["metadata"]["name"]) == (kind, name))
    return found


def instance() -> dict[str, Any]:
    return dict(yaml.safe_load(named("ConfigMap", "dagster-instance")["data"]["dagster.yaml"]))


def test_values_fit_the_chart_and_kubernetes() -> None:
    """Helm accepts them by the chart's schema, and Kubernetes' schemas what comes of them."""
    judge_manifests(rendered())


def test_instance_is_as_dagster_wants_it_and_says_what_dagster_yaml_says() -> None:
    """Pools, retries and monitoring, in the words of Dagster's own schema."""
    found = instance()

    checked = validate_config(dagster_instance_config_schema(), found)
    assert checked.errors is None or checked.errors == [], checked.errors
    assert found["concurrency"] == INSTANCE["concurrency"]
    assert found["run_retries"] == INSTANCE["run_retries"]
    assert found["run_coordinator"]["config"].items() >= INSTANCE["run_coordinator"]["config"].items()
    for name in ("run_storage", "event_log_storage", "schedule_storage"):
        scheme = found[name]["config"]["postgres_db"]["scheme"]
        assert scheme == INSTANCE["storage"]["postgres"]["postgres_db"]["scheme"]
    assert found["retention"].items() >= INSTANCE["retention"].items()
    assert found["run_monitoring"]["max_resume_run_attempts"] == 0


def test_no_secret_is_made() -> None:
    """They are referred to."""
    assert "Secret" not in {manifest["kind"] for manifest in rendered()}


def test_every_pod_keeps_the_promises() -> None:
    """No root, no rights, bounds of memory."""
    code = {"airbyte", "warehouse"}
    check_pod(named("CronJob", "airbyte-refresh"), code)
    for manifest in rendered():
        if manifest["kind"] == "Deployment":
            name = manifest["metadata"]["name"]
            # The chart offers a code server the secret of a Celery that is not there.
            pod_of(manifest)["containers"][0]["envFrom"] = [
                one
                for one in pod_of(manifest)["containers"][0]["envFrom"]
                if not one.get("secretRef", {}).get("optional")
            ]
            check_pod(manifest, code if "code-" in name else set())


def test_code_servers_have_the_instance_and_the_names_of_the_workspace() -> None:
    """The web server and the daemon find them by these names."""
    workspace = yaml.safe_load(named("ConfigMap", "dagster-workspace-yaml")["data"]["workspace.yaml"])
    servers = {one["grpc_server"]["host"]: one["grpc_server"]["port"] for one in workspace["load_from"]}
    assert servers == {"code-shop": 4000, "code-crm": 4000}
    for host in servers:
        assert named("Service", host)
        (container,) = pod_of(named("Deployment", f"dagster-dagster-user-deployments-{host}"))["containers"]
        assert {"name": "dagster-instance", "mountPath": "/opt/dagster/dagster_home/dagster.yaml"}.items() <= container[
            "volumeMounts"
        ][0].items()


@pytest.mark.parametrize("name", ["code-shop", "code-crm"])
def test_run_pod_of_the_chart(image: Stage, name: str) -> None:
    """The launcher's pod, of the instance and the container context that the chart makes."""
    deployment = named("Deployment", f"dagster-dagster-user-deployments-{name}")
    (container,) = pod_of(deployment)["containers"]
    values = {one["name"]: one.get("value", "") for one in container["env"]}
    context = json.loads(values["DAGSTER_CONTAINER_CONTEXT"])

    job = launched_job(image, instance()["run_launcher"], values["DAGSTER_CURRENT_IMAGE"], context)

    judge_manifests([job])
    check_pod(job, {"airbyte", "warehouse"})
    assert pod_of(job)["containers"][0]["resources"] == container["resources"]
