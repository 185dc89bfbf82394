"""The example's Helm values and manifests, as far as they can be judged without the chart and without a cluster.

With the chart: `helm_chart.py`.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from airbyte_dagster_tests.production.dockerfile import Stage
from airbyte_dagster_tests.production.image import APP, EXAMPLE, HOME
from airbyte_dagster_tests.production.manifests import check_pod, judge_manifests, launched_job, pod_of

VALUES = yaml.safe_load((EXAMPLE / "helm" / "values.yaml").read_text())
CODE = VALUES["dagster-user-deployments"]["deployments"]
WEBHOOK = list(yaml.safe_load_all((EXAMPLE / "helm" / "webhook.yaml").read_text()))
IMAGE = "{repository}:{tag}".format(**CODE[0]["image"])
INSTANCE = yaml.safe_load((EXAMPLE / "dagster.yaml").read_text())


def snake_case(values: dict[str, Any]) -> dict[str, Any]:
    """The top level of what the chart hands to dagster.yaml under names of Python's."""
    return {re.sub(r"[A-Z]", lambda found: f"_{found[0].lower()}", name): value for name, value in values.items()}


@pytest.mark.parametrize("deployment", CODE, ids=lambda deployment: deployment["name"])
def test_run_is_one_pod_with_what_its_code_server_has(image: Stage, deployment: dict[str, Any]) -> None:
    """Its image, secrets, bounds and user; Kubernetes does not start it again, and forgets it after a day."""
    config = VALUES["runLauncher"]["config"]["k8sRunLauncher"]
    launcher = {
        "module": "dagster_k8s",
        "class": VALUES["runLauncher"]["type"],
        "config": {
            "load_incluster_config": True,
            "job_namespace": "dagster",
            "service_account_name": "dagster",
            "dagster_home": HOME,
            "instance_config_map": "dagster-instance",
            "postgres_password_secret": VALUES["global"]["postgresqlSecretName"],
            "image_pull_policy": config["imagePullPolicy"],
            "run_k8s_config": snake_case(config["runK8sConfig"]),
        },
    }
    context = {
        "k8s": {
            "env_secrets": [one["name"] for one in deployment["envSecrets"]],
            "resources": deployment["resources"],
            "namespace": "dagster",
            "run_k8s_config": {"pod_spec_config": {"security_context": deployment["podSecurityContext"]}},
        }
    }

    job = launched_job(image, launcher, IMAGE, context)

    judge_manifests([job])
    check_pod(job, {"airbyte", "warehouse"})
    pod = pod_of(job)
    (container,) = pod["containers"]
    assert container["image"] == IMAGE
    assert container["resources"] == deployment["resources"]
    assert (job["spec"]["backoffLimit"], job["spec"]["ttlSecondsAfterFinished"]) == (0, 86400)
    assert pod["terminationGracePeriodSeconds"] == 60


def test_manifests_beside_the_chart() -> None:
    """The cron job that reads the workspace again, and the receiver of notices."""
    texts = {
        "{{ .image.repository }}:{{ .image.tag }}": IMAGE,
        "{{ .Values.global.postgresqlSecretName }}": VALUES["global"]["postgresqlSecretName"],
        "{{ .Values.global.dagsterHome }}": VALUES["global"]["dagsterHome"],
        '{{ template "dagster.fullname" . }}': "dagster",
        '{{ template "dagster.webserver.fullname" . }}': "dagster-dagster-webserver",
        "{{ .Values.dagsterWebserver.service.port }}": str(VALUES["dagsterWebserver"]["service"]["port"]),
        '{{ with index .Values "dagster-user-deployments" "deployments" 0 }}': "",
        "{{ end }}": "",
    }
    text = yaml.safe_dump(VALUES["extraManifests"], width=1000)
    for template, value in texts.items():
        text = text.replace(template, value)
    assert "{{" not in text
    (refresh,) = yaml.safe_load(text)

    judge_manifests([refresh, *WEBHOOK])
    check_pod(refresh, {"airbyte", "warehouse"})
    check_pod(WEBHOOK[0], {"airbyte", "warehouse", "airbyte-webhook"})
    for manifest in (refresh, WEBHOOK[0]):
        (container,) = pod_of(manifest)["containers"]
        assert container["image"] == IMAGE
        assert container["volumeMounts"][0]["mountPath"] == f"{HOME}/dagster.yaml"


def test_code_servers_share_the_instance_and_are_one_each() -> None:
    """Without the instance they keep the workspace where no run finds it; of two, a reload would reach one."""
    assert VALUES["dagster-user-deployments"]["includeInstance"] is True
    for deployment in CODE:
        assert (deployment["replicaCount"], deployment["includeConfigInLaunchedRuns"]) == (1, {"enabled": True})
        arguments = deployment["codeServerArgs"]
        file = arguments[arguments.index("-f") + 1]
        assert (EXAMPLE / file.removeprefix(f"{APP}/")).is_file()
        assert deployment["name"] == f"code-{arguments[arguments.index('--location-name') + 1]}"


def test_values_have_no_secret_and_the_chart_makes_none() -> None:
    """They are made beforehand, and named."""
    assert VALUES["generatePostgresqlPasswordSecret"] is False
    assert VALUES["generateCeleryConfigSecret"] is False
    assert "postgresqlPassword" not in VALUES["postgresql"]


def test_values_say_what_dagster_yaml_says() -> None:
    """How many runs and syncs there are at once, what is started again and what is kept is the same on all engines."""
    daemon = VALUES["dagsterDaemon"]
    monitoring = snake_case(daemon["runMonitoring"])

    assert {name: snake_case(part) for name, part in VALUES["concurrency"].items() if name != "enabled"} == INSTANCE[
        "concurrency"
    ]
    assert snake_case(daemon["runRetries"]) == INSTANCE["run_retries"]
    coordinator = daemon["runCoordinator"]["config"]["customRunCoordinator"]
    queued = {"module": coordinator["module"], "class": coordinator["class"]}
    assert queued.items() <= INSTANCE["run_coordinator"].items()
    assert coordinator["config"].items() >= INSTANCE["run_coordinator"]["config"].items()
    assert VALUES["postgresql"]["postgresqlScheme"] == INSTANCE["storage"]["postgres"]["postgres_db"]["scheme"]
    own = {"start_timeout_seconds", "max_resume_run_attempts"}  # a pod starts more slowly; the other is the default
    assert {name: monitoring[name] for name in monitoring if name not in own} == {
        name: value for name, value in INSTANCE["run_monitoring"].items() if name not in own
    }
    assert {name: VALUES["retention"][name]["purgeAfterDays"] for name in ("schedule", "sensor")} == {
        name: INSTANCE["retention"][name]["purge_after_days"] for name in ("schedule", "sensor")
    }
