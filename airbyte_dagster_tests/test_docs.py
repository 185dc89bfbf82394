"""README and docs are true: each command and each example is run, each setting and error is described."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest
import yaml

from airbyte_dagster import AirbyteResource, Checks, MotherDuckResource, PostgresWarehouseResource, SqlWarehouseResource
from airbyte_dagster.checks.specs import Check
from airbyte_dagster.errors import AirbyteDagsterError
from airbyte_dagster.local import settings
from airbyte_dagster_tests.command_line import Commands, wait_for
from airbyte_dagster_tests.dg_project import Project
from airbyte_dagster_tests.local.fakes import Api, RunningAirbyte, running_local_airbyte
from airbyte_dagster_tests.local.processes import MANIFEST, TINY
from airbyte_dagster_tests.test_package import all_errors

ROOT = Path(__file__).parents[1]
SKILL = ROOT / "airbyte_dagster" / ".agents" / "skills" / "airbyte-dagster" / "SKILL.md"
PAGES = [
    *(ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))),
    *(SKILL, *sorted((ROOT / "examples" / "grafana").glob("*.md"))),
]


def blocks(language: str) -> list[tuple[str, str]]:
    """All code blocks of a language: page and text."""
    pattern = re.compile(rf"^```{language}\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    return [(page.name, text) for page in PAGES for text in pattern.findall(page.read_text())]


@pytest.fixture
def shell(real_home: Path) -> Shell:
    return Shell(real_home)


class Shell(Commands):
    """Runs a block of a page in bash, with this environment's programs first on the path."""

    @property
    def variables(self) -> dict[str, str]:
        return {**self.environment, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}

    def block(self, text: str, **variables: str) -> str:
        result = subprocess.run(
            ["bash", "-euc", text],
            cwd=ROOT,
            env={**self.variables, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stdout
        return result.stdout

    @contextmanager
    def scripted(self) -> Iterator[Api]:
        """Local Airbyte with scripted connectors, found as ``local serve`` would be, for the time of a block.

        Its syncs take no time. That those of real connectors do the same is for the course and `make run` to show.
        """
        with running_local_airbyte(self.home) as running, running.api() as api:
            settings.write_private(running.home.server_file, {"url": running.url, "pid": os.getpid()})
            yield api

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Run ``local serve`` for the time of a block."""
        process = self.start("local", "serve", "--port", "0")
        try:
            wait_for((self.home / "local" / "server.json").exists, lambda: "the server did not start")
            yield
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate()

    def until(self, text: str, words: str) -> None:
        """Run a block that goes on until Ctrl-C, wait for words in its output, and end it."""
        with subprocess.Popen(
            ["bash", "-euc", f"exec {text}"],
            cwd=ROOT,
            env=self.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            assert process.stdout is not None
            lines: list[str] = []
            output = process.stdout
            reader = threading.Thread(target=lambda: lines.extend(iter(output.readline, "")))
            reader.start()
            try:
                wait_for(
                    lambda: process.poll() is not None or any(words in line for line in lines), lambda: "".join(lines)
                )
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGINT)
                process.wait()
                reader.join()
            assert any(words in line for line in lines), "".join(lines)
        self.wait_until_none_is_left()


COURSE = "course.md"
#: Pages that are followed as a whole, each in a test of its own.
FOLLOWED = (COURSE, "automation.md", "operations.md", "webhook.md")
MAKE_VARIABLES = f"VENV={sys.prefix}"


def try_it(shell: Shell, block: str) -> None:
    run, test = block.splitlines()
    assert "What arrived" in shell.block(f"{run} {MAKE_VARIABLES}")
    # The tests can't run themselves; that the target runs them is seen from what make would do.
    assert "-m pytest" in shell.block(f"{test} -n {MAKE_VARIABLES}")


def dev(shell: Shell, block: str) -> None:
    shell.until(f"{block.strip()} {MAKE_VARIABLES}", "Dagster UI at http://127.0.0.1:")


def own_airbyte(shell: Shell, block: str) -> None:
    # No such server is there: the variables are taken, and the attempt ends in a sentence that has the server's name.
    script = block.replace("…", "planted").replace("airbyte.example.com", "127.0.0.1:1").replace("https", "http")
    assert script.count("export ") == 4
    with pytest.raises(AssertionError, match=r"127\.0\.0\.1:1"):
        shell.block(f"{script.strip()} {MAKE_VARIABLES}")


def serve(shell: Shell, block: str) -> None:
    shell.until(block, "http://127.0.0.1:")


def point_a_client(shell: Shell, block: str) -> None:
    with shell.scripted():
        assert "Successful operation" in shell.block(block)


def serve_own_connector(shell: Shell, block: str) -> None:
    given = block.replace("/path/to/source-mine", str(TINY)).replace("/path/to/manifest.yaml", str(MANIFEST))
    shell.until(given, "http://127.0.0.1:")


def look_after(shell: Shell, block: str) -> None:
    with shell.scripted() as api:
        name = "my_connection_using_api"
        api.finish(api.sync(api.connection(api.source(count=5), api.destination(), ["users"], name=name)))
    home = settings.resolve_home(shell.home)
    home.server_file.unlink()
    home.job_log(1).write_text("what a connector said\n")

    shown = shell.block(block.replace("local logs 42", "local logs 1"))

    assert "not running" in shown
    assert "job 1  sync  succeeded" in shown
    assert "what a connector said" in shown
    assert f"Deleted connection {name}." in shown
    assert "jobs: 0" in shell.block("airbyte-dagster local status")


def own_file(shell: Shell) -> None:
    (example,) = [text for page, text in blocks("python") if page == "pipelines.md" and "from_env()" in text]
    (shell.home / "my_pipeline.py").write_text(example)


def own_pipeline(shell: Shell, block: str) -> None:
    own_file(shell)
    script = block.replace("my_pipeline.py", str(shell.home / "my_pipeline.py"))
    with shell.scripted():
        assert "RUN_SUCCESS" in shell.block(script)


def connectors(shell: Shell, block: str) -> None:
    installing, listing, cleaning = block.strip().splitlines()
    assert "faker" in shell.block(f"{installing}\n{listing}")
    # Not in the cache that all tests share.
    assert shell.block(cleaning, AIRBYTE_DAGSTER_CACHE=str(shell.home / "cache")) == "There is nothing to remove.\n"


def doctor_of_own(shell: Shell, block: str) -> None:
    # Nothing is there to be reached: each part is told so, in a line of its own.
    script = block.replace("…", "planted").replace("airbyte.example.com", "127.0.0.1:1").replace("https", "http")
    closed = {"HOME": str(shell.home), "HTTP_PROXY": "http://127.0.0.1:1", "NO_PROXY": "127.0.0.1"}
    with pytest.raises(AssertionError) as caught:
        shell.block(script, **closed)
    # What follows is pytest's: the values that it compared.
    output = str(caught.value).partition("\nassert ")[0]
    assert "✓ variables: your Airbyte and MotherDuck; not set: AIRBYTE_WORKSPACE_ID" in output
    assert "✗ server: 127.0.0.1:1 can't be reached" in output
    assert "✗ connection: DuckDB can't download its extension for MotherDuck" in output
    assert "planted" not in output


def doctor_of_file(shell: Shell, block: str) -> None:
    (example,) = [text for page, text in blocks("python") if page == "motherduck.md"]
    (shell.home / "my_pipeline.py").write_text(example)
    with pytest.raises(AssertionError, match=r"motherduck_token \(MOTHERDUCK_APIKEY\)"):
        shell.block(block.replace("my_pipeline.py", str(shell.home / "my_pipeline.py")))


def in_a_project(shell: Shell, block: str) -> str:
    project = Project(shell.home / "project")
    return shell.block(f"cd {project.root}\n{block}", PYTHONPATH=str(project.root / "src"), HOME=str(project.root))


def component(shell: Shell, block: str) -> None:
    with shell.scripted():
        output = in_a_project(shell, block)

    assert "airbyte_dagster.AirbytePipelineComponent" in output
    assert "All definitions loaded successfully." in output
    assert "RUN_SUCCESS" in output


def component_schema(shell: Shell, block: str) -> None:
    in_a_project(shell, block)

    assert "AirbytePipelineComponent" in (shell.home / "project" / ".dg" / "schema.json").read_text()


def export(shell: Shell, block: str) -> None:
    with shell.scripted() as api:
        api.connection(api.source(count=5), api.destination(), ["users"], name="shop users")
        project = Project(shell.home / "project")
        output = shell.block(f"cd {project.root}\n{block.replace('my_project', project.name)}")

    assert "# The connection 'shop users' of Airbyte's workspace" in output
    assert (project.defs / "shop_users" / "defs.yaml").exists()


def refresh(shell: Shell, block: str) -> None:
    example = next(text for page, text in blocks("python") if page == "workspace.md")
    file = shell.home / "my_workspace.py"
    file.write_text(example)
    with shell.scripted():
        output = shell.block(f'eval "$(airbyte-dagster local env)"\n{block.replace(file.name, str(file))}')

    assert "nothing was stored before" in output


def workspace_component(shell: Shell, block: str) -> None:
    with shell.scripted():
        output = in_a_project(shell, f'eval "$(airbyte-dagster local env)"\n{block}')

    assert "All definitions loaded successfully." in output


def signed_in(api: Api) -> dict[str, str]:
    """What a reader of the page has set by then."""
    token = str(api.headers["authorization"]).removeprefix("Bearer ")
    url = str(api.base_url).rstrip("/")
    return {"TOKEN": token, "AIRBYTE_SERVER_URL": url, "AIRBYTE_WORKSPACE_ID": api.workspace_id}


def refresh_streams(shell: Shell, block: str) -> None:
    with shell.scripted() as api:
        connection = api.connection(api.source(count=5), api.destination(), ["users"])
        answer = json.loads(shell.block(block, CONNECTION_ID=connection, **signed_in(api)))
        api.finish(answer["job"]["id"])

    assert answer["job"]["configType"] == "refresh"


def set_notices(shell: Shell, block: str) -> None:
    with shell.scripted() as api:
        answer = json.loads(shell.block(block, **signed_in(api)))

    assert answer["notifications"]["failure"]["webhook"] == {"enabled": True, "url": "http://127.0.0.1:9000/"}


def dev_of_own(shell: Shell, block: str) -> None:
    own_file(shell)
    shell.until(block.replace("my_pipeline.py", str(shell.home / "my_pipeline.py")), "Dagster UI at http://127.0.0.1:")


def export_as_json(shell: Shell, block: str) -> None:
    with shell.scripted() as api:
        api.connection(api.source(count=5), api.destination(), ["users"], name="shop users")
        (exported,) = json.loads(shell.block(f"{block.strip()} 2>/dev/null"))["exported"]

    assert exported["connectionName"] == "shop users"


def doctor_as_json(shell: Shell, block: str) -> None:
    own_file(shell)
    with shell.scripted():
        script = block.strip().replace("my_pipeline.py", str(shell.home / "my_pipeline.py"))
        report = json.loads(shell.block(f'eval "$(airbyte-dagster local env)"\n{script} 2>/dev/null'))

    assert report["passed"]


RUN_AS: dict[str, Callable[[Shell, str], None]] = {
    "dg list components": component,
    "dg utils generate-component-schema": component_schema,
    "dg scaffold defs airbyte_dagster.AirbyteWorkspaceComponent": workspace_component,
    "airbyte-dagster refresh": refresh,
    "airbyte-dagster dev -f": dev_of_own,
    "airbyte-dagster export '*' --json": export_as_json,
    "airbyte-dagster doctor --json -f": doctor_as_json,
    "make run\nmake test\n": try_it,
    "make dev\n": dev,
    "export AIRBYTE_CLIENT_ID": own_airbyte,
    "export MOTHERDUCK_APIKEY": doctor_of_own,
    "airbyte-dagster doctor -f": doctor_of_file,
    "airbyte-dagster export": export,
    'api="${AIRBYTE_SERVER_URL': refresh_streams,
    "curl -s -X PATCH": set_notices,
    "airbyte-dagster local serve\n": serve,
    'eval "$(airbyte-dagster local env)"': point_a_client,
    "airbyte-dagster local connectors install": connectors,
    "airbyte-dagster local serve --connector": serve_own_connector,
    "airbyte-dagster local status": look_after,
    'eval "$(airbyte-dagster local env)"\ndagster': own_pipeline,
}


@pytest.mark.real
@pytest.mark.parametrize(
    ("page", "block"),
    [(page, block) for page, block in blocks("sh") if page not in FOLLOWED],
    ids=lambda value: value.splitlines()[0],
)
def test_commands_do_what_the_pages_say(shell: Shell, page: str, block: str) -> None:
    """A block that no way to run is known for is an error: every command is run."""
    # The longest fit: one block may begin as another does.
    start = max((start for start in RUN_AS if block.startswith(start)), key=len)

    RUN_AS[start](shell, block)


@pytest.mark.real
def test_course_can_be_followed(shell: Shell) -> None:
    """All blocks of its page, in one shell, one after another; its server is another process from the start."""
    serving, *steps = [block for page, block in blocks("sh") if page == COURSE]
    assert serving == "airbyte-dagster local serve\n"
    with shell.serving():
        output = shell.block("\n".join(steps))

    assert "The sync succeeded: 105 rows" in output
    assert "The reset is job 2" in output


def test_no_command_hides_in_a_block_that_is_not_run() -> None:
    """Blocks of text hold output and drawings; what a reader would type stands in the others."""
    for page, block in blocks("text"):
        typed = [line for line in block.splitlines() if re.match(r"\s*(airbyte-dagster|make|pip|curl|dagster)\b", line)]
        assert typed == [], page


@pytest.mark.parametrize(("page", "block"), blocks("python"), ids=lambda value: value.splitlines()[0])
def test_examples_run(page: str, block: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """As they stand; definitions in them can be loaded, with Airbyte down and nothing in the environment.

    Those of a workspace are read from Airbyte, once.
    """
    for name in ("MOTHERDUCK_APIKEY", "AIRBYTE_CLIENT_ID", "AIRBYTE_CLIENT_SECRET"):
        monkeypatch.delenv(name, raising=False)
    if "build_workspace_defs(" in block or "load_airbyte_asset_specs(" in block:
        server: RunningAirbyte = request.getfixturevalue("airbyte")
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
    names: dict[str, object] = {}

    exec(compile(block, page, "exec", dont_inherit=True), names)  # noqa: S102 - our own pages

    if isinstance(definitions := names.get("defs"), dg.Definitions):
        dg.Definitions.validate_loadable(definitions)


@pytest.mark.parametrize(
    ("resource", "name"),
    [
        (AirbyteResource, "pipelines"),
        (MotherDuckResource, "pipelines"),
        (PostgresWarehouseResource, "warehouses"),
        (SqlWarehouseResource, "warehouses"),
    ],
)
def test_every_setting_is_described(resource: type[dg.ConfigurableResource[object]], name: str) -> None:
    """In its page, and by a description that Dagster's UI shows."""
    page = (ROOT / "docs" / f"{name}.md").read_text()

    for setting, field in resource.model_fields.items():
        assert f"`{setting}`" in page, setting
        assert field.description, setting


def test_every_check_is_described() -> None:
    """In the page on checks, with each of its settings."""
    page = (ROOT / "docs" / "checks.md").read_text()

    for name, field in Checks.model_fields.items():
        assert f"`{field.alias or name}`" in page, name
    for kind in Check.__subclasses__():
        for name in kind.model_fields:
            assert f"`{name}`" in page, name


def test_every_error_is_described() -> None:
    """In the page on errors."""
    page = (ROOT / "docs" / "errors.md").read_text()

    for kind in all_errors(AirbyteDagsterError):
        if kind.__module__ == "airbyte_dagster.errors":
            assert f"`{kind.__name__}`" in page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Links within the repository."""
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_skill_is_one_that_agents_find() -> None:
    """As other libraries ship theirs: ``.agents/skills/NAME/SKILL.md`` in the package, with its name and its use."""
    _, head, _ = SKILL.read_text().split("---\n", 2)
    found = yaml.safe_load(head)

    assert found.keys() == {"name", "description"}
    assert found["name"] == SKILL.parent.name == "airbyte-dagster"
    assert len(found["description"]) <= 1024
    assert "Use when" in found["description"]
    assert len(SKILL.read_text().splitlines()) < 500


def test_pipeline_of_the_skill_runs(shell: Shell) -> None:
    """Its declaration, as it stands, from a file: all checks are green."""
    example = next(text for page, text in blocks("python") if page == SKILL.name and "AirbytePipeline(" in text)
    (shell.home / "shop.py").write_text(example)
    with shell.scripted():
        output = shell.block(
            f'eval "$(airbyte-dagster local env)"\ndagster job execute -f {shell.home}/shop.py -j sync_shop'
        )

    assert "RUN_SUCCESS" in output
    assert "ASSET_CHECK_EVALUATION" in output
    assert "did not pass" not in output
