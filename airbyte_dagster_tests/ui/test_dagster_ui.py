"""What a person sees and does in Dagster's UI: real webserver, real browser, local Airbyte with scripted connectors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from airbyte_dagster_tests.conftest import client_of, resource_of
from airbyte_dagster_tests.dagster_runs import run_sync
from airbyte_dagster_tests.local.fakes import RunningAirbyte, ScriptedEngine, running_local_airbyte
from airbyte_dagster_tests.ui import location
from airbyte_dagster_tests.ui.browser import chromium, open_page
from airbyte_dagster_tests.ui.dagster_process import make_home, running_webserver

#: One webserver serves all of these: a worker of pytest-xdist takes all or none.
pytestmark = pytest.mark.xdist_group("ui")

PATIENCE = 300.0
SYNCS_BEFORE = 2

#: Whether anything is drawn on a canvas: it is looked at for some frames.
DRAWN = """canvas => new Promise(done => {
  const look = frames => {
    const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    if (pixels.some(value => value) || !frames) done(frames > 0);
    else requestAnimationFrame(() => look(frames - 1));
  };
  look(600);
})"""


@dataclass(frozen=True)
class Stack:
    """Local Airbyte, and the webserver of an instance in which the pipeline has run twice."""

    airbyte: RunningAirbyte
    url: str

    @property
    def syncs(self) -> int:
        """How many jobs the engine has been given so far."""
        return len(self.airbyte.engine.requests)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    directory = tmp_path_factory.mktemp("ui")
    with running_local_airbyte(directory / "airbyte", ScriptedEngine()) as airbyte:
        definitions = location.definitions(resource_of(airbyte), str(airbyte.home.warehouse))
        home = directory / "dagster"
        make_home(home)
        with dg.DagsterInstance.from_config(str(home)) as instance:
            for _ in range(SYNCS_BEFORE):
                assert run_sync(definitions, instance, job="sync_shop").success
        with running_webserver(home, Path(location.__file__), airbyte.environment) as url:
            yield Stack(airbyte, url)


@pytest.fixture(scope="module")
def browser(stack: Stack) -> Iterator[Browser]:
    """After the stack: while Playwright's event loop is there, this thread can have no other."""
    expect.set_options(timeout=PATIENCE * 1000)
    with chromium() as running:
        yield running


@pytest.fixture
def page(stack: Stack, browser: Browser) -> Iterator[Page]:
    with open_page(browser, stack.url, patience=PATIENCE, viewport={"width": 1280, "height": 1000}) as opened:
        yield opened


def button(page: Page | Locator, words: str) -> Locator:
    """A button by the end of its name: an icon's name comes first."""
    return page.get_by_role("button", name=re.compile(rf"\b{words}$"))


def follow_launched_run(page: Page) -> None:
    # The note goes away after some seconds, so its link is read and not clicked.
    note = page.get_by_role("listitem").filter(has_text="Launched run")
    page.goto(str(note.get_by_role("link", name="View").get_attribute("href")))


def expect_run(page: Page, status: str) -> None:
    """The page of a run shows how it ended."""
    expect(page.get_by_text(status, exact=True).first).to_be_visible()


def open_launchpad(page: Page, job: str, config: str) -> None:
    page.goto(f"/locations/location.py/jobs/{job}/playground")
    page.get_by_text("No errors").wait_for()
    page.locator(".CodeMirror").first.click()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.insert_text(config)


def launch(page: Page) -> None:
    button(page, "Launch Run").click()
    page.wait_for_url("**/runs/*")


def test_graph_shows_streams(page: Page) -> None:
    """The pipeline is a group; in it is each stream, with the kinds that Dagster has icons for."""
    page.goto("/asset-groups")
    graph = page.locator("svg", has_text="reports")
    graph.get_by_text("shop", exact=True).click()

    for name in ("users", "products"):
        expect(graph.get_by_text(name, exact=True)).to_be_visible()
    for kind, times in (("airbyte", 2), ("duckdb", 2)):
        expect(graph.get_by_role("img", name=kind, exact=True)).to_have_count(times)
    expect(graph.get_by_text("faker", exact=True)).to_have_count(2)


def test_materialize_from_the_graph(stack: Stack, page: Page) -> None:
    """One click is one sync; the run's page tells each step, and the run is found by Airbyte's job id."""
    before = stack.syncs
    page.goto("/asset-groups")
    button(page, "Materialize all").click()

    follow_launched_run(page)

    expect_run(page, "Success")
    assert stack.syncs == before + 1
    job = f"Job {stack.syncs} succeeded"
    expect(page.get_by_text(re.compile(f"{job} · 70 rows"))).to_be_visible()
    button(page, "View tags and config").click()
    expect(page.get_by_text(f"airbyte/job_id: {stack.syncs}")).to_be_visible()


def test_asset_page_tells_what_arrived(stack: Stack, page: Page) -> None:
    """What it is, how many rows, which columns; and a link to the job's page in Airbyte."""
    page.goto("/assets/shop/users")

    expect(page.get_by_text("Stream 'users' of 'faker source', brought to 'duck' by Airbyte.")).to_be_visible()
    expect(page.get_by_text("lms.main.users", exact=True).first).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("id .*BIGINT Primary key."))).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("_airbyte_extracted_at .*When Airbyte read"))).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("airbyte.rows_reported .* 35$"))).to_be_visible()
    expect(page.get_by_text("Row count").locator("xpath=..")).to_contain_text("35")
    page.goto(str(page.locator("a[href*='jobId=']").first.get_attribute("href")))
    assert page.url.startswith(stack.airbyte.url)
    expect(page.get_by_role("heading", name=re.compile(r"^Job \d+$"))).to_be_visible()
    expect(page.get_by_role("heading", name="Log")).to_be_visible()
    expect(page.get_by_role("main").get_by_role("link", name="faker to duck")).to_be_visible()


def test_numbers_of_several_materializations_are_drawn(page: Page) -> None:
    """Rows, bytes and seconds, one plot each."""
    page.goto("/assets/shop/users")
    button(page, "Plots").click()

    for name in ("airbyte/rows_reported", "airbyte/bytes_reported", "airbyte/duration_seconds", "airbyte/job_rows"):
        plot = page.get_by_text(name, exact=True).locator("xpath=ancestor::*[.//canvas][1]").locator("canvas").first
        expect(plot).to_be_visible()
        assert plot.evaluate(DRAWN)


def test_check_runs_by_itself(stack: Stack, page: Page) -> None:
    """Executing it counts again, and syncs nothing; its page has the rule, the sentence and the numbers."""
    before = stack.syncs
    checks = "/assets/shop/users?view=checks"
    page.goto(checks)
    button(page, "Execute").click()
    follow_launched_run(page)

    expect_run(page, "Success")
    expect(page.get_by_text(re.compile("Check row_count succeeded for materialization of"))).to_be_visible()
    assert stack.syncs == before
    page.goto(checks)
    expect(page.get_by_text("Rows in the warehouse against the records that Airbyte reports")).to_be_visible()
    expect(page.get_by_text("users has 35 rows, Airbyte reports 35.")).to_be_visible()
    for number in ("rows_in_warehouse 35", "rows_reported 35", "sync_mode full_refresh_overwrite"):
        expect(page.get_by_role("row", name=number)).to_be_visible()


def test_launchpad_changes_what_is_in_airbyte(stack: Stack, page: Page) -> None:
    """The configuration is laid over the declared one; the output links to the source's page."""
    open_launchpad(page, "provision_shop", "ops: {create_source: {config: {configuration: {count: 50}}}}")
    launch(page)

    expect_run(page, "Success")
    with client_of(stack.airbyte) as client:
        assert client.actors("source", stack.airbyte.workspace_id)[0].configuration["count"] == 50
    expect(page.locator(f"a[href^='{stack.airbyte.url}/workspaces/'][href*='/source/']").first).to_be_visible()


def test_launchpad_flags_what_it_does_not_know(page: Page) -> None:
    """The wrong key is named with what is accepted, and nothing can be launched."""
    open_launchpad(page, "provision_shop", "ops: {create_source: {config: {nmae: other}}}")

    problem = page.get_by_text('Received unexpected config entry "nmae"')
    expect(problem).to_be_visible()
    expect(problem).to_contain_text("name?:")
    expect(button(page, "Launch Run")).to_be_disabled()
    expect(page.get_by_text("What differs from the declaration, for this run.").first).to_be_visible()


def test_terminating_a_run_cancels_its_job(stack: Stack, page: Page) -> None:
    """Nothing goes on in Airbyte behind a run that was ended from the UI."""
    job = stack.syncs + 1
    stack.airbyte.engine.hold()
    try:
        page.goto("/assets/shop/users")
        button(page, "Materialize").click()
        follow_launched_run(page)
        stack.airbyte.engine.wait_for_start(job, PATIENCE)
        expect(page.get_by_text(f"Sync started: job {job} is pending.")).to_be_visible()
        button(page, "Terminate").click()
        button(page.get_by_role("dialog"), "Terminate 1 run").click()

        expect_run(page, "Canceled")
    finally:
        stack.airbyte.engine.release()
    with client_of(stack.airbyte) as client:
        assert client.job(job).status == "cancelled"


def test_reset_refuses_without_confirmation(stack: Stack, page: Page) -> None:
    """As the launchpad offers it, nothing is deleted; the run's page says what to set."""
    before = stack.syncs
    page.goto("/locations/location.py/jobs/reset_shop/playground")
    page.get_by_text("No errors").wait_for()
    launch(page)

    expect_run(page, "Failure")
    refusal = page.get_by_text("Nothing was reset. This deletes all rows of 'faker to duck': set confirm: true")
    expect(refusal.first).to_be_visible()
    assert stack.syncs == before


def test_schedule_is_there_to_be_turned_on(page: Page) -> None:
    """It is listed with its time, off at first, and says what a tick does."""
    page.goto("/automation")
    expect(page.get_by_text("Scheduled At 06:00 AM UTC")).to_be_visible()
    page.get_by_role("link", name="sync_shop_schedule").click()
    expect(page.get_by_text("A tick that finds 'faker to duck' syncing is skipped.")).to_be_visible()
    running = page.get_by_role("row", name="Running")

    expect(running.get_by_role("checkbox")).not_to_be_checked()
    running.locator("label").click()

    expect(running.get_by_role("checkbox")).to_be_checked()
