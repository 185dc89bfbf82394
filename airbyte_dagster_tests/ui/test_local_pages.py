"""What a person sees and does on local Airbyte's pages, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, Page, expect

from airbyte_dagster.local.joblogs import JobLog
from airbyte_dagster_tests.local.fakes import Api, RunningAirbyte, ScriptedEngine, running_local_airbyte
from airbyte_dagster_tests.ui.browser import chromium, open_page

#: One browser serves all of these: a worker of pytest-xdist takes all or none.
pytestmark = pytest.mark.xdist_group("pages")

PATIENCE = 300.0
LONG = "FileNotFoundError: [Errno 2] No such file or directory: '/data/exports/orders_of_all_shops_2026_03_25.csv'"

#: Words that are not on one line each, though they would fit on a line; columns that are cut; and the page's own width.
LAYOUT = r"""() => {
  const broken = [], cut = [];
  const walker = document.createTreeWalker(document.querySelector("body"), NodeFilter.SHOW_TEXT);
  for (let node; (node = walker.nextNode()); ) {
    if (!node.parentElement.checkVisibility()) continue;
    for (const match of node.data.matchAll(/\w+/g)) {
      const range = document.createRange();
      range.setStart(node, match.index);
      range.setEnd(node, match.index + match[0].length);
      if (range.getClientRects().length > 1 && match[0].length < 30) broken.push(match[0]);
    }
  }
  for (const cell of document.querySelectorAll("th, td")) {
    const turns = one => /auto|scroll/.test(getComputedStyle(one).overflowX);
    for (let one = cell; one.tagName !== "BODY"; one = one.parentElement)
      if (one.clientWidth && one.scrollWidth > one.clientWidth + 1 && !turns(one))
        cut.push([one.tagName, cell.innerText]);
  }
  return {broken, cut, width: document.documentElement.scrollWidth};
}"""


@dataclass(frozen=True)
class Shop:
    """A server with one connection, of which a sync succeeded and another failed."""

    airbyte: RunningAirbyte
    api: Api
    source: str
    connection: str
    failed: int

    @property
    def workspace(self) -> str:
        return f"/workspaces/{self.airbyte.workspace_id}"

    @property
    def path(self) -> str:
        return f"{self.workspace}/connections/{self.connection}"

    def job(self, job_id: int) -> str:
        return f"{self.path}/timeline?jobId={job_id}&openLogs=true"

    def log(self, job_id: int, *lines: str) -> None:
        log = JobLog(self.airbyte.home.job_log(job_id))
        for line in lines:
            log.write(line)
        log.close()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with running_local_airbyte(tmp_path_factory.mktemp("pages"), ScriptedEngine()) as airbyte, airbyte.api() as api:
        source = api.source(count=35)
        streams = [{"name": "users", "syncMode": "incremental_deduped_history"}, "products", "purchases"]
        connection = api.connection(source, api.destination(), streams, name="my_connection_using_api", prefix="raw_")
        api.finish(api.sync(connection))
        airbyte.engine.fail_next(LONG, "Traceback", after_rows=17)
        failed = api.sync(connection)
        api.finish(failed)
        made = Shop(airbyte, api, source, connection, failed)
        made.log(failed, *(f"source INFO Read {number} records of the stream users" for number in range(100)))
        made.log(failed, f"source ERROR {LONG}")
        yield made


@pytest.fixture(scope="module")
def browser(shop: Shop) -> Iterator[Browser]:
    """After the server: while Playwright's event loop is there, this thread can have no other."""
    expect.set_options(timeout=PATIENCE * 1000)
    with chromium() as running:
        yield running


@pytest.fixture
def page(shop: Shop, browser: Browser) -> Iterator[Page]:
    """Requests of other addresses than 127.0.0.1 are an error at its end."""
    with open_page(browser, shop.airbyte.url, patience=PATIENCE, viewport={"width": 1280, "height": 800}) as opened:
        yield opened


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_is_cut_or_broken(width: int, shop: Shop, page: Page) -> None:
    """However narrow the window, words stay whole, and a table that is too wide turns within itself."""
    page.set_viewport_size({"width": width, "height": 800})
    paths = [
        shop.workspace,
        f"{shop.workspace}/source/{shop.source}",
        f"{shop.workspace}/source/{shop.source}/delete",
        f"{shop.path}/status",
        f"{shop.path}/clear",
        f"{shop.path}/refresh",
        shop.job(shop.failed),
        "/nonesuch",
    ]
    turning = 0
    for path in paths:
        page.goto(path)
        found = page.evaluate(LAYOUT)
        assert (path, found) == (path, {"broken": [], "cut": [], "width": width})
        turning += page.locator(".scroll").evaluate_all(
            "all => all.filter(one => one.scrollWidth > one.clientWidth).length"
        )
    assert (turning > 0) == (width == 360)


def test_sync_from_the_page(shop: Shop, page: Page) -> None:
    """One click, and the job's page is there, which renews itself until the end of the job."""
    shop.airbyte.engine.hold()
    page.goto(shop.workspace)
    page.get_by_role("link", name="my_connection_using_api").click()
    page.get_by_role("button", name="Sync now").click()
    expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    expect(page.get_by_text("running", exact=True).first).to_be_visible()
    shop.airbyte.engine.release()
    expect(page.get_by_text("succeeded", exact=True).first).to_be_visible()
    expect(page.get_by_role("row", name=re.compile(r"^users complete \d+ \d+"))).to_be_visible()
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)


def test_cancel_and_clear_from_the_page(shop: Shop, page: Page) -> None:
    """Cancelling is one click, clearing is confirmed on a page of its own, which leads back too."""
    shop.airbyte.engine.hold()
    job = shop.api.sync(shop.connection)
    page.goto(shop.job(job))
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("The job was cancelled")).to_be_visible()
    shop.airbyte.engine.release()
    page.get_by_role("main").get_by_role("link", name="my_connection_using_api").click()
    page.get_by_role("link", name="Clear…").click()
    page.get_by_role("link", name="Back").click()
    page.get_by_role("link", name="Clear…").click()
    page.get_by_label("products").uncheck()
    page.get_by_role("button", name="Clear").click()
    expect(page.get_by_text("clear of")).to_be_visible()
    expect(page.get_by_text("Of these streams only: users, purchases")).to_be_visible()
    expect(page.get_by_text("succeeded", exact=True).first).to_be_visible()
    assert shop.api.ok("GET", f"/jobs/{job + 1}")["jobType"] == "reset"


def test_a_log_is_at_its_end_and_grows(shop: Shop, page: Page) -> None:
    """The last line is in view without turning, also the one that comes later; what went wrong stands out."""
    page.goto(shop.job(shop.failed))
    expect(page.get_by_role("log").locator("b")).to_have_text(re.compile("ERROR FileNotFoundError"))
    page.get_by_role("link", name="Log", exact=True).click()
    expect(page.get_by_role("log").locator("b")).to_be_in_viewport()

    shop.airbyte.engine.hold()
    job = shop.api.sync(shop.connection)
    shop.log(job, *(f"source INFO line {number}" for number in range(200)))
    page.goto(shop.job(job))
    expect(page.get_by_role("log")).to_contain_text("INFO line 199")
    shop.log(job, "source ERROR a later line")
    expect(page.get_by_role("log").locator("b")).to_have_text(re.compile("a later line"))
    assert page.get_by_role("log").evaluate("one => one.scrollTop === 0 && one.scrollHeight > one.clientHeight")
    page.get_by_role("link", name="Stop following").click()
    expect(page.get_by_role("link", name="Follow", exact=True)).to_be_visible()
    assert page.locator("meta[http-equiv=refresh]").count() == 0
    shop.airbyte.engine.release()
    shop.api.finish(job)


def test_delete_from_the_page(shop: Shop, page: Page) -> None:
    """A source goes with its connections, once that is confirmed."""
    source = shop.api.source(count=1)
    shop.api.connection(source, shop.api.destination("other.duckdb"), ["users"], name="goes, too")
    page.goto(f"{shop.workspace}/source/{source}")
    page.get_by_role("link", name="Delete…").click()
    expect(page.get_by_role("link", name="goes, too")).to_be_visible()
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", name="Default Workspace")).to_be_visible()
    expect(page.get_by_role("link", name="goes, too")).to_have_count(0)
    assert shop.api.get(f"/sources/{source}").status_code == 404


def test_another_sites_form_does_nothing(shop: Shop, page: Page) -> None:
    """Not even one that is served from this very machine, at another port."""
    before = len(shop.airbyte.engine.requests)
    answers: list[int] = []
    page.on("response", lambda answer: answers.append(answer.status))
    form = FORM.format(shop.airbyte.url + shop.path)
    page.route("http://127.0.0.1:9/**", lambda route: route.fulfill(body=form, content_type="text/html"))
    page.goto("http://127.0.0.1:9/")
    page.get_by_role("button").click()
    expect(page.get_by_role("heading", name="Not done")).to_be_visible()
    assert answers[-1] == 403
    assert len(shop.airbyte.engine.requests) == before


FORM = """<form method="post" action="{}/sync"><input name="token" value="guess"><button>Look</button></form>"""


def test_the_apis_page_needs_no_network(shop: Shop, page: Page) -> None:
    """All of it comes from this server: the list of calls is there, and a call can be tried."""
    hosts: set[str] = set()
    page.on("request", lambda request: hosts.add(request.url.partition("://")[2].partition("/")[0]))
    page.goto("/docs")
    page.get_by_role("button", name=re.compile("health")).first.click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()
    expect(page.get_by_text("Successful operation").first).to_be_visible()
    assert hosts == {shop.airbyte.url.partition("://")[2]}
