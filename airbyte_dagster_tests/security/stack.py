"""All that there is, as processes: local Airbyte, PostgreSQL, all of Dagster's, the receiver of notices, commands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import pytest
import sqlalchemy as sa

from airbyte_dagster.local import settings
from airbyte_dagster.webhook.app import HEALTH, NOTICES
from airbyte_dagster.webhook.secret import SECRET_VARIABLE
from airbyte_dagster_tests.acceptance.stack import DagsterStack
from airbyte_dagster_tests.command_line import PATIENCE
from airbyte_dagster_tests.daemon.stack import DagsterProcesses
from airbyte_dagster_tests.http_server import HttpServer, Reply
from airbyte_dagster_tests.local.postgresql import PASSWORD, Postgres, running_postgres
from airbyte_dagster_tests.local.processes import ServerProcess
from airbyte_dagster_tests.security import location
from airbyte_dagster_tests.security.fields import resource_classes, secrets_of
from airbyte_dagster_tests.security.looking import Processes, Text, planted, texts_of, texts_of_database
from airbyte_dagster_tests.ui.dagster_process import free_port

_MODULE = "airbyte_dagster_tests.security.location"
#: Of Dagster's own storage, which is PostgreSQL, too.
_STORAGE_VARIABLE = "SECURITY_TEST_STORAGE"
_WEBHOOK_SECRET = planted("webhook")
_INSTANCE = """
telemetry: {{enabled: false}}
nux: {{enabled: false}}
run_coordinator: {{module: dagster.core.run_coordinator, class: DefaultRunCoordinator}}
sensors: {{use_threads: true, num_workers: 2}}
storage:
  postgres:
    postgres_db:
      hostname: 127.0.0.1
      port: {port}
      db_name: dagster
      username: airbyte
      # SQLAlchemy 2.1 takes psycopg by itself, whose connections Dagster's webserver would close as it sets them up.
      scheme: postgresql+psycopg2
      password: {{env: {variable}}}
"""
_RESOURCES = """{ workspaceOrError { ... on Workspace { locationEntries { locationOrLoadError {
    ... on RepositoryLocation { repositories { allTopLevelResourceDetails {
        name description configFields { name description isRequired defaultValueAsJson }
        configuredValues { key value type } } } } } } } } }"""
_LOGS = """query($run: ID!) { logsForRun(runId: $run) { ... on EventConnection { events {
    ... on MessageEvent { message } ... on ExecutionStepFailureEvent { error { message stack causes { message } } }
    ... on MaterializationEvent { metadataEntries { label description ... on TextMetadataEntry { text }
        ... on UrlMetadataEntry { url } ... on JsonMetadataEntry { jsonString } } } } } } }"""


class Stack(DagsterStack):
    """All of it, and what was said and shown.

    Attributes:
        server: Local Airbyte's process.
        postgres: Where the destinations write, and Dagster keeps its own.
        root: Homes of both, and of their processes' logs.
        variables: Secrets of the environment, by variable.
        output: What commands said, by command.
    """

    def __init__(
        self,
        server: ServerProcess,
        postgres: Postgres,
        instance: dg.DagsterInstance,
        root: Path,
        variables: dict[str, str],
        environment: dict[str, str],
        notices: HttpServer,
    ) -> None:
        DagsterProcesses.__init__(self, instance, root / "dagster", environment, _MODULE)
        self._notices = notices
        self.server, self.postgres, self.root, self.variables = server, postgres, root, variables
        self.output: dict[str, str] = {}
        self._port = free_port()
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{self._port}", timeout=PATIENCE)

    def start_receiver(self) -> None:
        """Start it, and have Airbyte post notices to it, which it hands on to where they went before."""
        self._receiver = f"http://127.0.0.1:{free_port()}"
        port = self._receiver.rpartition(":")[2]
        self._running["receiver"] = self._start(
            "receiver", "airbyte_dagster", "webhook", "serve", "-m", _MODULE, "--port", port
        )
        log = self._home / "receiver.log"
        self.eventually(lambda: "Listens for" in log.read_text(), "the receiver")
        self.command("webhook", "register", self._receiver, "--forward")

    @property
    def in_code(self) -> list[str]:
        """Secrets that stand in the code location, as they are."""
        return [*location.IN_CODE, *(secret for resource in resource_classes() for secret in secrets_of(resource))]

    @property
    def secrets(self) -> list[str]:
        """All secrets."""
        return [*self.in_code, *self.variables.values(), planted("other")]

    def roots(self) -> list[int]:
        """Ids of the processes that start all others."""
        return [self.server.process.pid, *(process._process.pid for process in self._running.values())]

    def watched(self) -> Processes:
        """Looks at all of them while a block runs."""
        return Processes(self.roots)

    def command(self, *arguments: str, status: int | None = 0) -> str:
        """Run ``airbyte-dagster`` with the variables of the stack; what it says.

        Args:
            status: That it has to end with; None for any.
        """
        command = [sys.executable, "-m", "airbyte_dagster", *arguments]
        environment = {**self._environment, "COLUMNS": "200"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE)
        said = done.stdout + done.stderr
        assert status is None or done.returncode == status, said
        self.output[" ".join(arguments[:2])] = said
        return said

    def until_recorded(self, asset: str) -> None:
        """Wait until the daemon's sensor has recorded a sync of an asset."""
        self.eventually(
            lambda: self.instance.get_latest_materialization_event(dg.AssetKey(asset.split("/"))), f"a sync of {asset}"
        )

    # What is shown

    def pages(self) -> Iterator[Text]:
        """Every page of local Airbyte that one can get to by its links, and what it answers to what is wrong."""
        found, seen = ["/", "/docs", "/openapi.json", "/nonesuch"], set()
        with httpx.Client(base_url=self.server.url, follow_redirects=True, timeout=PATIENCE) as client:
            while found:
                path = found.pop()
                if path in seen:
                    continue
                seen.add(path)
                text = client.get(path, headers={"accept": "text/html"}).text
                yield f"page {path}", text
                found += [link.replace("&amp;", "&") for link in re.findall(r'(?:href|action)="(/[^"#]*)', text)]
        assert len(seen) > 15

    def graphql_answers(self) -> Iterator[Text]:
        """What Dagster's UI shows of resources and runs."""
        shown = str(self.graphql(_RESOURCES))
        assert "every_AirbyteResource" in shown
        yield "resources in the UI", shown
        for run in self.instance.get_runs():
            yield f"log of {run.job_name}", str(self.graphql(_LOGS, run=run.run_id))

    def api_answers(self) -> Iterator[Text]:
        """What Airbyte's API shows of everything."""
        with self.server.api() as api:
            for path in ("workspaces", "sources", "destinations", "connections", "jobs", "tags"):
                yield f"GET /{path}", api.get(f"/{path}", params={"limit": 100}).text
            for job in api.ok("GET", "/jobs", params={"limit": 100})["data"]:
                yield f"debug info of {job['jobId']}", str(api.debug(int(job["jobId"])))

    def receiver_answers(self) -> Iterator[Text]:
        """What the receiver of notices answers to anybody, and to what is no notice."""
        with httpx.Client(base_url=self._receiver, timeout=PATIENCE) as client:
            answers = {"/health": client.get(HEALTH), "nowhere": client.get(f"{NOTICES}nonesuch")}
            answers["no notice"] = client.post(f"{NOTICES}{_WEBHOOK_SECRET}", content=b"[")
        assert [answer.status_code for answer in answers.values()] == [200, 404, 400]
        for name, answer in answers.items():
            yield f"the receiver's answer, {name}", f"{answer.headers} {answer.text}"

    def sent(self) -> Iterator[Text]:
        """The notices that local Airbyte has sent."""
        for request in self._notices.requests:
            yield "notice", f"{request.path} {request.headers} {request.body.decode()}"

    def skipped(self, sensor: str) -> str:
        """Why a sensor did nothing, once a tick of it has said so."""

        def found() -> str | None:
            state = next((one for one in self.instance.all_instigator_state() if one.name == sensor), None)
            ticks = self.instance.get_ticks(state.instigator_origin_id, state.selector_id) if state else []
            return next((tick.skip_reason for tick in ticks if tick.skip_reason), None)

        return self.eventually(found, f"a tick of {sensor}")

    def stored(self) -> Iterator[Text]:
        """All files below the root, and all of both databases."""
        yield from texts_of(self.root)
        for database in ("postgres", "dagster"):
            yield from (
                (f"{database}: {where}", text) for where, text in texts_of_database(url_of(self.postgres, database))
            )


def url_of(postgres: Postgres, database: str) -> sa.URL:
    """The address of a database."""
    return sa.URL.create("postgresql+psycopg", "airbyte", PASSWORD, "127.0.0.1", postgres.port, database)


@contextmanager
def running_stack(root: Path, patch: pytest.MonkeyPatch) -> Iterator[Stack]:
    """Start all of it, with the connection ``other``; end it at the end of the block."""
    for name in [name for name in os.environ if name.startswith(("AIRBYTE_CLIENT", "AIRBYTE_SERVER", "MOTHERDUCK_"))]:
        patch.delenv(name)
    variables = {location.API_KEY_VARIABLE: planted("api-key"), location.HEADER_VARIABLE: planted("header")}
    home = root / "dagster"
    home.mkdir(parents=True)
    with ExitStack() as exits:
        postgres = exits.enter_context(running_postgres())
        postgres.query("CREATE DATABASE dagster")
        patch.setenv(_STORAGE_VARIABLE, PASSWORD)
        (home / "dagster.yaml").write_text(_INSTANCE.format(port=postgres.port, variable=_STORAGE_VARIABLE))
        # Local Airbyte starts from a shell that has secrets of other things, and hands them to nobody.
        with pytest.MonkeyPatch.context() as shell:
            for name, value in {**variables, "MOTHERDUCK_APIKEY": planted("motherduck")}.items():
                shell.setenv(name, value)
            server = exits.enter_context(ServerProcess(root / "airbyte"))
        notices = exits.enter_context(HttpServer())
        _connect(server, postgres, notices)
        environment = {
            **settings.environment(server.home, server.url),
            **variables,
            location.PASSWORD_VARIABLE: PASSWORD,
            _STORAGE_VARIABLE: PASSWORD,
            location.ROOT_VARIABLE: str(root),
            location.PORT_VARIABLE: str(postgres.port),
            SECRET_VARIABLE: _WEBHOOK_SECRET,
        }
        instance = exits.enter_context(dg.DagsterInstance.from_config(str(home)))
        secrets = {
            **variables,
            "MOTHERDUCK_APIKEY": planted("motherduck"),
            location.PASSWORD_VARIABLE: PASSWORD,
            SECRET_VARIABLE: _WEBHOOK_SECRET,
            "AIRBYTE_CLIENT_SECRET": environment["AIRBYTE_CLIENT_SECRET"],
        }
        stack = Stack(server, postgres, instance, root, secrets, environment, notices)
        exits.callback(stack.stop)
        stack.start_webserver()
        stack.start_daemon()
        stack.start_receiver()
        yield stack


def _connect(server: ServerProcess, postgres: Postgres, notices: HttpServer) -> None:
    notices.on("POST", "/notices", Reply(200))
    webhook = {"webhook": {"enabled": True, "url": f"{notices.url}/notices"}}
    with server.api() as api:
        wanted = {"notifications": {"success": webhook, "failure": webhook}}
        api.ok("PATCH", f"/workspaces/{api.workspace_id}", json=wanted)
        source = api.source("tiny", streams={"items": [{"id": 1}]}, api_key=planted("other"))
        body: dict[str, Any] = {"name": "other destination", "workspaceId": api.workspace_id}
        configuration = {**location.destination_at(postgres.port), "password": PASSWORD}
        made = api.ok("POST", "/destinations", json={**body, "configuration": configuration})
        api.connection(source, made["destinationId"], ["items"], name=location.OTHER, prefix="other_")
