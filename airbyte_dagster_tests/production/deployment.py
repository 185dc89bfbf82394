"""The example's deployment, each part on a host of its own, from the very files of ``examples/production``."""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import dagster as dg
import httpx
import psycopg

from airbyte_dagster_tests.production import airbyte_host
from airbyte_dagster_tests.production.celery_packages import celery_packages
from airbyte_dagster_tests.production.image import APP, EXAMPLE, HOME, Image
from airbyte_dagster_tests.production.network import Host, Network, Program, eventually, running_network
from benchmarks.simulated_airbyte.calls import CLIENT_ID, CLIENT_SECRET
from benchmarks.simulated_airbyte.inventory import WORKSPACE_ID

PASSWORD = "p@ss/w:o r%d#"
CODE_PORT, WEB_PORT = 4000, 3000
_REDIS = "redis://redis:6379"
#: A host is slow to start where others work, too.
START_SECONDS = 120.0


class LaunchRefused(AssertionError):
    """There is no such selection, as far as the web server knows: that is so, too, while it can't reach the code."""


@dataclass(frozen=True)
class Size:
    """What a deployment has.

    Attributes:
        shop: Connections with this tag.
        crm: Connections with this tag.
        streams: Of each connection.
        job_seconds: How long a sync takes at least.
        latency: Of each call of Airbyte, in seconds.
        workers: How many hosts with Celery's workers; with any, ``crm`` has its steps there.
        runners: How many hosts with Celery's workers for whole runs; with any, all runs are launched there.
        replaced: Text of the example's files → what it is replaced by: numbers that no test can wait for.
        variables: Further ones, for all hosts of Dagster.
        others: Further hosts, empty ones.
    """

    shop: int = 0
    crm: int = 0
    streams: int = 2
    job_seconds: float = 3.0
    latency: float = 0.01
    workers: int = 0
    runners: int = 0
    replaced: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    others: Sequence[str] = ()


def _program_of_postgres(name: str) -> str:
    return str(max(Path("/usr/lib/postgresql").glob(f"*/bin/{name}")))


class Deployment:
    """All hosts, and questions to them.

    Attributes:
        instance: Dagster's, as any other process has it that has the example's file.
    """

    instance: dg.DagsterInstance

    def __init__(self, network: Network, size: Size) -> None:
        self.network = network
        self.size = size
        app = self._app()
        self._dagster = Image(
            files={APP: app, f"{HOME}/dagster.yaml": app / self._instance_file},
            packages=(celery_packages(),) if size.workers or size.runners else (),
            environment=self.variables,
        )
        plain = Image()
        self.database = network.add("database", plain, self._volume("database"))
        self.warehouse = network.add("warehouse", plain, self._volume("warehouse"))
        self.airbyte = network.add("airbyte", plain)
        self.redis = network.add("redis", plain)
        self.web, self.daemon = network.add("web", self._dagster), network.add("daemon", self._dagster)
        self.code = {name: network.add(f"code-{name}", self._dagster) for name in ("shop", "crm")}
        self.workers = [network.add(f"worker-{number}", self._dagster) for number in range(size.workers)]
        self.runners = [network.add(f"runner-{number}", self._dagster) for number in range(size.runners)]
        self.others = {name: network.add(name, plain) for name in size.others}
        self._http = httpx.Client(timeout=60, trust_env=False)

    # Set-up

    @property
    def _instance_file(self) -> str:
        return "celery/dagster.yaml" if self.size.runners else "dagster.yaml"

    @property
    def variables(self) -> dict[str, str]:
        """The environment of all hosts of Dagster."""
        return {
            "DAGSTER_POSTGRES_HOST": "database",
            "DAGSTER_POSTGRES_USER": "dagster",
            "DAGSTER_POSTGRES_PASSWORD": PASSWORD,
            "DAGSTER_POSTGRES_DB": "dagster",
            "AIRBYTE_SERVER_URL": f"http://airbyte:{airbyte_host.PORT}/api/public/v1",
            "AIRBYTE_CLIENT_ID": CLIENT_ID,
            "AIRBYTE_CLIENT_SECRET": CLIENT_SECRET,
            "AIRBYTE_WORKSPACE_ID": WORKSPACE_ID,
            "WAREHOUSE_HOST": "warehouse",
            "WAREHOUSE_USER": "dagster",
            "WAREHOUSE_PASSWORD": PASSWORD,
            "WAREHOUSE_DB": "dagster",
            "CELERY_BROKER_URL": f"{_REDIS}/0",
            "CELERY_RESULT_BACKEND": f"{_REDIS}/1",
            **self.size.variables,
        }

    def _volume(self, name: str) -> Path:
        path = self.network.directory / f"{name}.data"
        path.mkdir()
        postgres = pwd.getpwnam("postgres")
        os.chown(path, postgres.pw_uid, postgres.pw_gid)
        return path

    def _app(self) -> Path:
        """The example's files, with what is replaced in them."""
        app = self.network.directory / "app"
        missing = set(self.size.replaced)
        for path in EXAMPLE.rglob("*"):
            if path.suffix not in (".py", ".yaml"):
                continue
            text = path.read_text()
            for old, new in self.size.replaced.items():
                if old in text:
                    missing.discard(old)
                    text = text.replace(old, new)
            target = app / path.relative_to(EXAMPLE)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        assert not missing, f"the example does not have {missing}"
        return app

    def start(self) -> None:
        for host in self.network.hosts.values():
            host.boot()
        for host in (self.database, self.warehouse):
            self._make_database(host)
            self.start_postgres(host)
        self._start_airbyte()
        if self.workers or self.runners:
            self.redis.start("redis", "redis-server", "--bind", "0.0.0.0", "--protected-mode", "no", "--save", "")
        self.web.run("dagster", "instance", "migrate")
        for name in self.code:
            self.start_code(name)
        for worker in (*self.workers, *self.runners):
            self.start_worker(worker)
        for name in self.code:
            self.wait_for_code(name)
        self.start_web()
        self.start_daemon()
        eventually(lambda: self._listens(self.web, WEB_PORT), "the web server", START_SECONDS)

    def _make_database(self, host: Host) -> None:
        script = (
            f"umask 077; cat > /tmp/password; {_program_of_postgres('initdb')} -D /data/pg -U dagster -E UTF8 "
            "--no-sync --pwfile /tmp/password -A scram-sha-256 && "
            "echo 'host all all 0.0.0.0/0 scram-sha-256' >> /data/pg/pg_hba.conf"
        )
        done = host.popen("sh", "-c", script, user=_postgres())
        out, _ = done.communicate(PASSWORD.encode())
        assert done.returncode == 0, out.decode()

    def start_postgres(self, host: Host) -> None:
        options = {"listen_addresses": "*", "max_connections": "400", "fsync": "off", "unix_socket_directories": "/tmp"}
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        host.start("postgres", _program_of_postgres("postgres"), "-D", "/data/pg", *settings, user=_postgres())
        eventually(lambda: self._answers(host), f"PostgreSQL on {host.name}", START_SECONDS)
        if self.query(host, "SELECT 1 FROM pg_database WHERE datname = 'dagster'") == []:
            self.query(host, "CREATE DATABASE dagster", database="postgres")

    def _answers(self, host: Host) -> bool:
        try:
            self.query(host, "SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def query(self, host: Host, text: str, *, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Ask a PostgreSQL."""
        address = {"host": host.address, "user": "dagster", "password": PASSWORD, "dbname": database}
        with psycopg.connect(**address, connect_timeout=5, autocommit=True) as connection:  # type: ignore[arg-type]
            cursor = connection.execute(text.encode())
            return cursor.fetchall() if cursor.description else []

    def _start_airbyte(self) -> None:
        size = self.size
        warehouse = {"host": "warehouse", "database": "dagster", "username": "dagster", "password": PASSWORD}
        options = {
            "tags": {"shop": size.shop, "crm": size.crm},
            "streams": size.streams,
            "latency": size.latency,
            "job_seconds": size.job_seconds,
            "warehouse": warehouse,
        }
        self.airbyte.start("airbyte", "python", "-m", airbyte_host.__name__, json.dumps(options))
        eventually(lambda: self._listens(self.airbyte, airbyte_host.PORT), "Airbyte", START_SECONDS)

    @staticmethod
    def _listens(host: Host, port: int) -> bool:
        failed = [program for program in host.programs.values() if program.exit_code is not None]
        assert not failed, f"{failed[0].name} of {host.name} has ended: {failed[0].log.read_text()[-3000:]}"
        return host.listens(port)

    def start_code(self, name: str) -> Program:
        file = f"celery/{name}.py" if self.size.workers and name == "crm" else f"definitions/{name}.py"
        server = ["dagster", "code-server", "start", "-h", "0.0.0.0", "-p", str(CODE_PORT)]
        return self.code[name].start("code", *server, "-f", f"{APP}/{file}", "-d", APP, "--location-name", name)

    def wait_for_code(self, name: str) -> None:
        eventually(lambda: self._listens(self.code[name], CODE_PORT), f"the code server {name}", START_SECONDS)

    def start_web(self) -> None:
        web = ["dagster-webserver", "-h", "0.0.0.0", "-p", str(WEB_PORT), "-w", f"{APP}/workspace.yaml"]
        self.web.start("web", *web)

    def start_daemon(self, host: Host | None = None) -> None:
        (host or self.daemon).start("daemon", "dagster-daemon", "run", "-w", f"{APP}/workspace.yaml")

    def start_worker(self, worker: Host) -> None:
        config, queue = ("steps", "dagster") if worker in self.workers else ("runs", "runs")
        main = "import sys; from dagster_celery.cli import main; main(sys.argv[1:])"
        start = ["python", "-c", main, "worker", "start", "-A", "dagster_celery.app"]
        worker.start("worker", *start, "-y", f"{APP}/celery/{config}.yaml", "-q", queue, "--", "--concurrency", "2")

    # Dagster

    def graphql(self, query: str, **variables: Any) -> Any:
        """What the web server answers."""
        url = f"http://{self.web.address}:{WEB_PORT}/graphql"
        answer = self._http.post(url, json={"query": query, "variables": variables}).raise_for_status().json()
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def launch(self, location: str, keys: Sequence[Sequence[str]] = (), **tags: str) -> str:
        """Launch a run as the UI does: of the location's job, or of some of its assets. Returns its id."""
        selector: dict[str, Any] = {
            "repositoryName": "__repository__",
            "repositoryLocationName": location,
            "jobName": f"sync_{location}",
        }
        if keys:
            selector["assetSelection"] = [{"path": list(key)} for key in keys]
        params = {
            "selector": selector,
            "mode": "default",
            "executionMetadata": {"tags": [{"key": key, "value": value} for key, value in tags.items()]},
        }
        launched = self.graphql(_LAUNCH, params=params)["launchRun"]
        if launched["__typename"] == "InvalidSubsetError":
            raise LaunchRefused(launched)
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return str(launched["run"]["runId"])

    def run(self, run_id: str) -> dg.DagsterRun:
        found = self.instance.get_run_by_id(run_id)
        assert found is not None
        return found

    def log_of(self, run_id: str, lines: int = 40) -> str:
        """The end of a run's log, for people."""
        records = self.instance.get_records_for_run(run_id, limit=lines, ascending=False).records
        return "\n".join(record.event_log_entry.message[:600] for record in reversed(records))

    # Airbyte

    def truth(self) -> list[dict[str, Any]]:
        """All jobs that Airbyte ever made."""
        return list(self._behind("GET", "truth").json())

    def set_faults(self, rate: float, seed: int, kinds: Sequence[str]) -> None:
        """Have something go wrong with a share of the calls of Airbyte from now on."""
        self._behind("POST", "faults", json={"rate": rate, "seed": seed, "kinds": list(kinds)})

    def foreign_sync(self, connection_id: str) -> int:
        """Start a sync as somebody else does. Returns the job."""
        base = f"http://{self.airbyte.address}:{airbyte_host.PORT}/api/public/v1"
        signed = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
        token = self._http.post(f"{base}/applications/token", json=signed).raise_for_status().json()["access_token"]
        answer = self._http.post(
            f"{base}/jobs",
            json={"connectionId": connection_id, "jobType": "sync"},
            headers={"Authorization": f"Bearer {token}"},
        )
        return int(answer.raise_for_status().json()["jobId"])

    def _behind(self, method: str, path: str, **options: Any) -> httpx.Response:
        url = f"http://{self.airbyte.address}:{airbyte_host.PORT}/simulation/{path}"
        return self._http.request(method, url, **options).raise_for_status()

    def logs(self, lines: int = 15) -> str:
        """The end of each program's output, for people."""
        parts = []
        for path in sorted(self.network.directory.glob("*.log")):
            parts += [f"--- {path.stem}", *path.read_text(errors="replace").splitlines()[-lines:]]
        return "\n".join(parts)

    def close(self) -> None:
        self._http.close()


_LAUNCH = """
mutation Launch($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } ... on InvalidSubsetError { message }
    ... on RunConfigValidationInvalid { errors { message } }
  }
}
"""


def _postgres() -> tuple[int, int]:
    user = pwd.getpwnam("postgres")
    return user.pw_uid, user.pw_gid


@contextmanager
def deployed(directory: Path, size: Size) -> Iterator[Deployment]:
    """The deployment for the time of a block; on a failure, the last lines of all its programs are printed."""
    with ExitStack() as exits:
        network = exits.enter_context(running_network(directory))
        deployment = Deployment(network, size)
        exits.callback(deployment.close)
        try:
            deployment.start()
            variables = {**deployment.variables, "DAGSTER_POSTGRES_HOST": deployment.database.address}
            exits.enter_context(mock.patch.dict(os.environ, variables))
            home = directory / "home"
            home.mkdir()
            text = (EXAMPLE / "dagster.yaml").read_text()
            (home / "dagster.yaml").write_text(text)
            deployment.instance = exits.enter_context(dg.DagsterInstance.from_config(str(home)))
            yield deployment
        except BaseException:
            print(deployment.logs())
            raise
