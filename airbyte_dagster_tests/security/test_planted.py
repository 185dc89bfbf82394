"""Secrets in every place of a real set-up, and none in anything that it writes, shows or hands on."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from airbyte_dagster.webhook.secret import SECRET_VARIABLE
from airbyte_dagster_tests.local.postgresql import PASSWORD
from airbyte_dagster_tests.security import location
from airbyte_dagster_tests.security.looking import Processes, found_in
from airbyte_dagster_tests.security.stack import Stack, running_stack

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("secrets")]


class Lived:
    """A stack that has done everything once, and what was seen of its processes meanwhile."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        with stack.watched() as self.processes:
            self._live()
        self.stored = list(stack.stored())

    def _live(self) -> None:
        stack = self.stack
        good, others = stack.launch("sync_good"), stack.launch("sync_others")
        # The source waits after its first row: connector and worker are there to be looked at.
        stack.eventually(self._is_reading_good, "a row of good")
        self.processes.look()
        location.gate_of(stack.root).touch()
        broken, locked, touched = (stack.launch(job) for job in ("sync_broken", "sync_locked", "touch_all"))
        for run in (good, others, locked, touched):
            stack.succeed(run)
        stack.fail(broken)
        module = "airbyte_dagster_tests.security.location"
        stack.command("doctor", "--json", "-m", module, status=None)
        stack.command("refresh", "-m", module)
        stack.command("export", "*", "-o", str(stack.root / "exported"))
        stack.command("webhook", "status", "--json")
        stack.command("local", "status", "--home", str(stack.server.home.root))
        stack.until_recorded("other/items")
        self.reasons = {name: stack.skipped(name) for name in ("files", "rows")}

    def _is_reading_good(self) -> bool:
        with self.stack.server.api() as api:
            ids = {item["connectionId"]: item["name"] for item in api.ok("GET", "/connections")["data"]}
            jobs = api.ok("GET", "/jobs")["data"]
        return any(ids.get(job["connectionId"]) == "good" and job.get("rowsSynced") == 1 for job in jobs)


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lived]:
    with pytest.MonkeyPatch.context() as patch, running_stack(tmp_path_factory.mktemp("secrets"), patch) as stack:
        yield Lived(stack)


def test_every_secret_did_its_work(lived: Lived) -> None:
    """They were used, so that it is no wonder that they are found where they have to be, in local Airbyte's store."""
    stack = lived.stack
    with stack.server.api() as api:
        jobs = {job["status"] for job in api.ok("GET", "/jobs", params={"limit": 100})["data"]}
    assert jobs == {"succeeded", "failed"}
    assert stack.postgres.query("SELECT count(*) FROM raw.good_items") == [["3"]]
    found = found_in(lived.stored, [stack.variables[location.API_KEY_VARIABLE], *location.IN_CODE, PASSWORD])
    assert {where for where, _ in found if "state.sqlite: " in where} == {
        "airbyte/local/state.sqlite: actors.configuration"
    }


def test_no_secret_is_stored_but_by_local_airbyte(lived: Lived) -> None:
    """In Dagster's database, every process' log, the state of a workspace, exports: nowhere.

    Local Airbyte has them in its database, in the configurations of sources and destinations and in the address for
    notices alone, and its own client secret in a file: both in a directory that is the user's only.
    """
    stack = lived.stack
    found = found_in(lived.stored, stack.secrets)

    private = {f"airbyte/local/{name}" for name in ("state.sqlite", "state.sqlite-wal", "credentials.json")}
    columns = {f"airbyte/local/state.sqlite: {name}" for name in ("actors.configuration", "workspaces.notifications")}
    assert {(where, secret) for where, secret in found if where not in private | columns} == set()
    assert {where for where, _ in found} >= {"airbyte/local/credentials.json"}
    logs = {path.name for path in (stack.root / "dagster").glob("*.log")}
    assert logs >= {"code-server.log", "webserver.log", "daemon.log", "receiver.log"}
    assert list(stack.root.rglob("core*")) == []


def test_no_secret_is_shown(lived: Lived) -> None:
    """By local Airbyte's pages, API and notices, by Dagster's UI, by commands, by the receiver of notices.

    But Airbyte's API shows a workspace's address for notices, secret and all, to whoever may read the workspace.
    """
    stack = lived.stack
    notices = list(stack.sent())
    texts = [*stack.pages(), *stack.api_answers(), *stack.graphql_answers(), *stack.output.items(), *notices]
    texts += stack.receiver_answers()
    texts.append(("local Airbyte's output", "".join(stack.server.output)))

    assert found_in(texts, stack.secrets) == {("GET /workspaces", stack.variables[SECRET_VARIABLE])}
    shown = "\n".join(text for _, text in texts)
    assert "The tiny source broke" in shown
    assert len(notices) >= 4
    assert "127.0.0.1:1" in lived.reasons["files"]
    assert "password authentication failed" in lived.reasons["rows"]
    assert "password authentication failed" in shown
    # Beside the document there is what the command says on its way.
    findings = json.JSONDecoder().raw_decode(stack.output["doctor --json"])[0]["findings"]
    assert {item["about"] for item in findings} >= {"Pipeline good", "Pipeline broken", "Pipeline locked"}


def test_no_secret_is_on_a_command_line(lived: Lived) -> None:
    """`ps` shows it to every user of the machine."""
    lines = lived.processes.command_lines
    for word in (
        "tiny_connector",
        "airbyte_dagster.local.work",
        "dagster_webserver",
        "dagster._daemon",
        "webhook serve",
    ):
        assert [line for line in lines if word in line], (word, lines)
    assert found_in((("command line", line) for line in lines), lived.stack.secrets) == set()


def test_variables_go_to_nobody_who_does_not_read_them(lived: Lived) -> None:
    """Workers and connectors of local Airbyte get none; in Dagster's processes each stands under its own name only."""
    processes: Processes = lived.processes
    stack = lived.stack
    below = {
        line: values
        for line, values in processes.environments.items()
        if ("tiny_connector" in line or "airbyte_dagster.local.work" in line) and " serve " not in line
    }
    assert len(below) >= 2
    assert found_in(((line, "\n".join(values)) for line, values in below.items()), stack.secrets) == set()
    everywhere = {value for values in processes.environments.values() for value in values}
    assert found_in((("environment", value) for value in everywhere), stack.in_code) == set()
    for name, secret in stack.variables.items():
        allowed = {name, "SECURITY_TEST_STORAGE"} if secret == PASSWORD else {name}
        assert {value.partition("=")[0] for value in everywhere if secret in value} <= allowed
