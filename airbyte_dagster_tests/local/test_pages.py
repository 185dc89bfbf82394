"""The pages for people."""

from __future__ import annotations

import re
from configparser import ConfigParser
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest

from airbyte_dagster.airbyte.links import Links
from airbyte_dagster.local import pages
from airbyte_dagster.local.joblogs import JobLog
from airbyte_dagster.local.routes import pages as routes
from airbyte_dagster_tests.local.fakes import Api, RunningAirbyte, ScriptedEngine, running_local_airbyte


def get(airbyte: RunningAirbyte, path: str) -> httpx.Response:
    """As a browser: no token."""
    return httpx.get(f"{airbyte.url}{path}", follow_redirects=True, headers={"accept": "text/html,*/*;q=0.8"})


def page_of(airbyte: RunningAirbyte, connection: str, job: int) -> str:
    """The page behind the link that Dagster shows for a job."""
    answer = get(airbyte, urlsplit(links_of(airbyte).job(connection, job))._replace(scheme="", netloc="").geturl())
    assert answer.status_code == 200
    return answer.text


def links_of(airbyte: RunningAirbyte) -> Links:
    return Links(airbyte.server_url, airbyte.workspace_id)


def write_log(airbyte: RunningAirbyte, job: int, *lines: str) -> None:
    log = JobLog(airbyte.home.job_log(job))
    for line in lines:
        log.write(line)
    log.close()


def test_root_leads_to_the_default_workspace(airbyte: RunningAirbyte, api: Api) -> None:
    """/ is a redirect, and the page lists what is there, with links that work."""
    connection = api.connection(api.source(count=1), api.destination(), ["users"], name="my connection")
    api.finish(api.sync(connection))
    answer = get(airbyte, "/")
    assert answer.url.path == f"/workspaces/{airbyte.workspace_id}"
    assert answer.headers["content-type"].startswith("text/html")
    for words in ("my connection", "faker source", "duck", "succeeded"):
        assert words in answer.text
    links = {part.split('"')[0] for part in answer.text.split('href="')[1:]}
    assert len(links) >= 5
    for link in links:
        assert get(airbyte, link).status_code == 200, link


def test_a_connections_page(airbyte: RunningAirbyte, api: Api) -> None:
    """It shows the streams and the jobs with status, rows, bytes, start, duration and reason, the newest first."""
    connection = api.connection(api.source(count=1005), api.destination(), ["users"], prefix="raw_")
    api.finish(api.sync(connection))
    airbyte.engine.fail_next("The source <broke>")
    api.finish(api.sync(connection))
    for page in ("", "/status", "/timeline"):
        text = get(airbyte, f"/workspaces/{airbyte.workspace_id}/connections/{connection}{page}").text
        for words in ("users", "full refresh overwrite", "raw_", "1,005", " kB", " UTC", "The source &lt;broke&gt;"):
            assert words in text
        assert text.index(">failed<") < text.index(">succeeded<")
        assert "http-equiv" not in text


def test_a_page_of_a_running_job_renews_itself(airbyte: RunningAirbyte, api: Api) -> None:
    """As long as a job is active, and without a script."""
    connection = api.connection(api.source(count=1), api.destination(), ["users"])
    airbyte.engine.hold()
    job = api.sync(connection)
    path = f"/workspaces/{airbyte.workspace_id}/connections/{connection}/status"
    assert 'http-equiv="refresh"' in get(airbyte, path).text
    airbyte.engine.release()
    api.finish(job)
    assert 'http-equiv="refresh"' not in get(airbyte, path).text


def test_lists_that_are_long_have_pages(airbyte: RunningAirbyte, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """All connections are found by going on; an offset that is none is the beginning."""
    monkeypatch.setattr(routes, "MOST", 2)
    source, destination = api.source(count=1), api.destination()
    for number in range(5):
        api.connection(source, destination, ["users"], name=f"c-{number}", prefix=f"p{number}")
    for start in (f"/workspaces/{airbyte.workspace_id}", f"/workspaces/{airbyte.workspace_id}/source/{source}"):
        path, found, back = start, [], []
        while True:
            text = get(airbyte, path).text
            found.append(re.findall(">(c-[0-9])<", text))
            back += re.findall('href="([^"]*)">Previous<', text)
            following = re.findall('href="([^"]*)">Next<', text)
            if not following:
                break
            path = following[0]
        assert found == [["c-0", "c-1"], ["c-2", "c-3"], ["c-4"]]
        assert back == [f"{start}?offset=0", f"{start}?offset=2"]
        for nonsense in ("-1", "x", "²"):
            assert ">c-0<" in get(airbyte, f"{start}?offset={nonsense}").text
        assert get(airbyte, f"{start}?offset={'9' * 40}").status_code == 200
    confirmation = get(airbyte, f"/workspaces/{airbyte.workspace_id}/source/{source}/delete").text
    assert "Its connections are deleted, too. These are the first 2:" in confirmation


def test_other_workspaces_are_found(airbyte: RunningAirbyte, api: Api) -> None:
    """The workspace that / leads to has links to the others, if there are any."""
    assert "Other workspaces" not in get(airbyte, "/").text
    other = api.ok("POST", "/workspaces", json={"name": "second"})["workspaceId"]
    assert f'<a href="/workspaces/{other}">second</a>' in get(airbyte, "/").text
    assert ">Default Workspace</a></li>" in get(airbyte, f"/workspaces/{other}").text


def test_streams_show_their_tables(airbyte: RunningAirbyte, api: Api) -> None:
    """Each with the name that the destination gives it; unknown once the destination is gone; rows of the last sync."""
    destination = api.destination(schema="shop")
    connection = api.connection(api.source(count=7), destination, ["users", "products"], prefix="Raw ")
    path = f"/workspaces/{airbyte.workspace_id}/connections/{connection}/status"
    before = get(airbyte, path).text
    assert "<code>shop.raw_users</code>" in before
    assert before.count('<td class="number">–</td></tr>') == 2
    api.finish(api.sync(connection))
    assert get(airbyte, path).text.count('<td class="number">7</td></tr>') == 2
    api.finish(api.sync(connection, "reset"))
    assert get(airbyte, path).text.count('<td class="number">7</td></tr>') == 2
    api.delete(f"/destinations/{destination}")
    assert "raw_users</code>" not in get(airbyte, path).text


def test_warnings(airbyte: RunningAirbyte, api: Api) -> None:
    """A table that another connection writes too, and what has changed in the source, are said on the page."""
    source, destination = api.source(count=1), api.destination()
    first, second = (api.connection(source, destination, ["users"], name=name) for name in ("one", "two"))
    path = f"/workspaces/{airbyte.workspace_id}/connections"
    for connection, other in ((first, "two"), (second, "one")):
        text = get(airbyte, f"{path}/{connection}/status").text
        assert f"The table main.users is written by the connection {other}" in text
    assert "The schema of the source has" not in text
    drift = {"change": "non_breaking", "words": ["the stream users has the new field <b>"]}
    airbyte.store.change_connection(first, drift=drift)
    assert "the stream users has the new field &lt;b&gt;" in get(airbyte, f"{path}/{first}/status").text
    api.delete(f"/connections/{first}")
    for connection in (first, second):
        assert "Warnings" not in get(airbyte, f"{path}/{connection}/status").text


def test_a_jobs_page(airbyte: RunningAirbyte, api: Api) -> None:
    """The link in Dagster's metadata opens it: the attempt, rows and bytes by stream, and the log."""
    connection = api.connection(api.source(count=1005), api.destination(), ["users", "products"], name="shop")
    job = api.sync(connection)
    api.finish(job)
    write_log(airbyte, job, "source INFO hello <b>", "source ERROR that was bad")
    text = page_of(airbyte, connection, job)
    for words in ("<h1>Job 1</h1>", ">shop</a>", ">succeeded<", "1,005", "1,105", " kB", "INFO hello &lt;b&gt;"):
        assert words in text
    rows = {name: text.partition(f"<tr><td>{name}</td>")[2].partition("</tr>")[0] for name in ("users", "products")}
    assert rows["users"].count(">1,005<") == 2
    assert rows["products"].count(">100<") == 2
    assert re.search("<b>[0-9T:Z-]+ source ERROR that was bad</b>", text)
    assert "Reason" not in text
    assert "http-equiv" not in text


def test_a_failed_jobs_page_says_why(airbyte: RunningAirbyte, api: Api) -> None:
    """The reason, whose it is, and the connector's own details."""
    connection = api.connection(api.source(count=5), api.destination(), ["users"])
    airbyte.engine.fail_next("FileNotFoundError: orders.csv", "Traceback: <here>", after_rows=3)
    job = api.sync(connection)
    api.finish(job)
    text = page_of(airbyte, connection, job)
    for words in ("FileNotFoundError: orders.csv", "source · system error", "Traceback: &lt;here&gt;", ">failed<"):
        assert words in text
    row = text.partition("<tr><td>users</td>")[2].partition("</tr>")[0]
    assert (row.count(">3<"), row.count(">0<")) == (1, 1)
    assert "There is none, or not any more." in text


def test_a_waiting_job_says_so(airbyte: RunningAirbyte, api: Api) -> None:
    """And for what; it has made no attempt and has no counts; what is not known is no zero."""
    destination = api.destination()
    first, second = (api.connection(api.source(count=1), destination, ["users"], prefix=one) for one in "ab")
    airbyte.engine.hold()
    running = api.sync(first)
    api.until(running, lambda job: job["status"] == "running")
    text = page_of(airbyte, second, api.sync(second))
    assert "Waiting since" in text
    assert f"Waiting for job {running}, which writes the same DuckDB file" in text
    assert "No counts yet." in text
    assert ">0<" not in text


def test_the_log_is_followed_while_the_job_is_active(airbyte: RunningAirbyte, api: Api) -> None:
    """The page renews itself, with more of the log; that can be stopped, and ends with the job."""
    connection = api.connection(api.source(count=1), api.destination(), ["users"])
    airbyte.engine.hold()
    job = api.sync(connection)
    api.until(job, lambda found: found["status"] == "running")
    for line in ("one", "two"):
        write_log(airbyte, job, line)
        text = page_of(airbyte, connection, job)
        assert f" {line}\n" in text
        assert 'http-equiv="refresh"' in text
    path = f"/workspaces/{airbyte.workspace_id}/connections/{connection}/timeline?jobId={job}&openLogs=true"
    assert "http-equiv" not in get(airbyte, f"{path}&follow=false").text
    airbyte.engine.release()
    api.finish(job)
    assert "http-equiv" not in page_of(airbyte, connection, job)


def test_a_long_log(airbyte: RunningAirbyte, api: Api) -> None:
    """The page has the last whole lines of it and says so; the whole is behind a link, as text."""
    connection = api.connection(api.source(count=1), api.destination(), ["users"])
    job = api.sync(connection)
    api.finish(job)
    write_log(airbyte, job, *(f"{'x' * 1000} {number}" for number in range(300)))
    text = page_of(airbyte, connection, job)
    assert "x 299\n" in text
    assert "x 1\n" not in text
    assert "These are its last lines." in text
    assert all(
        re.match("[0-9T:Z-]{20} x", line) for line in text.partition("<pre>")[2].partition("</pre>")[0].split("\n")[:-1]
    )
    whole = get(airbyte, f"/workspaces/{airbyte.workspace_id}/connections/{connection}/jobs/{job}/log")
    assert whole.headers["content-type"].startswith("text/plain")
    assert len(whole.text.splitlines()) == 300


@pytest.mark.parametrize("wanted", ["", "99", "nonsense", "-1", "9" * 30, "{other}"])
def test_a_link_to_no_job_of_the_connection(wanted: str, airbyte: RunningAirbyte, api: Api) -> None:
    """It shows the connection, as Airbyte does; and there is no log at its address."""
    source, destination = api.source(count=1), api.destination()
    connection, other = (api.connection(source, destination, ["users"], name=name, prefix=name) for name in "ab")
    job = wanted.format(other=api.sync(other))
    path = f"/workspaces/{airbyte.workspace_id}/connections/{connection}"
    answer = get(airbyte, f"{path}/timeline?jobId={job}&openLogs=true")
    assert answer.status_code == 200
    assert "<h1>a</h1>" in answer.text
    assert get(airbyte, f"{path}/jobs/{job}/log").status_code == 404


def test_the_last_fifty_jobs_are_shown(airbyte: RunningAirbyte, api: Api) -> None:
    """No more, however many there are."""
    connection = api.connection(api.source(count=1), api.destination(), [])
    for _ in range(52):
        job = airbyte.jobs.add_reset(connection, airbyte.workspace_id)
        airbyte.jobs.end(job.id, "cancelled", None)
    text = get(airbyte, f"/workspaces/{airbyte.workspace_id}/connections/{connection}/status").text
    assert text.count('<td><span class="badge cancelled">') == 50
    assert ">clear 52<" in text
    assert ">clear 2<" not in text


@pytest.mark.parametrize("strict", [False, True])
def test_secrets_are_masked(strict: bool, tmp_path: Path) -> None:
    """A source's and a destination's page show the configuration with masks in both modes."""
    with running_local_airbyte(tmp_path, ScriptedEngine(), strict=strict) as airbyte, airbyte.api() as api:
        source = api.source(count=35, api_key="planted-secret")
        destination = api.destination("md:lms", motherduck_api_key="planted-secret")
        for path, words in ((f"source/{source}", "35"), (f"destination/{destination}", "md:lms")):
            text = get(airbyte, f"/workspaces/{airbyte.workspace_id}/{path}").text
            assert words in text
            assert "*" * 10 in text
            assert "planted-secret" not in text


def test_everything_is_escaped(airbyte: RunningAirbyte, api: Api) -> None:
    """Names and values are text, whatever is in them."""
    bad = "<script>alert('x')</script>"
    workspace = api.ok("POST", "/workspaces", json={"name": bad})["workspaceId"]
    airbyte.engine.add("odd", {bad: [{"id": 1}]})
    body = {"name": bad, "workspaceId": workspace, "configuration": {"sourceType": "odd", bad: bad}}
    source = api.ok("POST", "/sources", json=body)["sourceId"]
    config = {"destinationType": "duckdb", "destination_path": "x.duckdb"}
    destination = api.ok("POST", "/destinations", json={**body, "configuration": config})["destinationId"]
    tag = api.ok("POST", "/tags", json={"name": bad[:30], "color": "000000", "workspaceId": workspace})
    connection = api.connection(source, destination, [bad], name=bad, prefix=bad, tags=[tag])
    for path in ("", f"/source/{source}", f"/destination/{destination}", f"/connections/{connection}/status"):
        answer = get(airbyte, f"/workspaces/{workspace}{path}")
        assert answer.status_code == 200
        assert "<script" not in answer.text
        assert "&lt;script&gt;" in answer.text


def test_nothing_from_elsewhere(airbyte: RunningAirbyte, api: Api) -> None:
    """No scripts, no assets, no frames; the browser is told so too."""
    answer = get(airbyte, "/")
    assert "<script" not in answer.text
    assert "src=" not in answer.text
    assert "http:" not in answer.text + answer.text.replace("https:", "http:")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy


def test_pages_of_nothing(airbyte: RunningAirbyte, api: Api) -> None:
    """An unknown or malformed id, or a thing of another workspace, is a page that says so, with status 404."""
    other = api.ok("POST", "/workspaces", json={"name": "w"})["workspaceId"]
    source, destination = api.source(count=1), api.destination()
    connection = api.connection(source, destination, ["users"])
    paths = [f"/{uuid4()}", "/nonsense", f"/{airbyte.workspace_id}/source/{destination}"]
    for home, thing in ((other, None), (airbyte.workspace_id, str(uuid4())), (airbyte.workspace_id, "nonsense")):
        paths += [
            f"/{home}/source/{thing or source}",
            f"/{home}/destination/{thing or destination}",
            f"/{home}/connections/{thing or connection}/status",
        ]
    for path in paths:
        answer = get(airbyte, f"/workspaces{path}")
        assert (path, answer.status_code) == (path, 404)
        assert "Not found" in answer.text


def test_an_address_of_nothing_is_a_page_for_browsers_only(airbyte: RunningAirbyte, api: Api) -> None:
    """What a client gets there is what Airbyte answers; below the API's path a browser does, too."""
    page = get(airbyte, "/nonesuch")
    assert (page.status_code, "<h1>Not found</h1>" in page.text) == (404, True)
    for answer in (api.get(f"{airbyte.url}/nonesuch"), get(airbyte, "/api/public/v1/nonesuch")):
        assert (answer.status_code, answer.text) == (404, "Object not found.")
    unknown = httpx.get(f"{airbyte.server_url}/sources/{uuid4()}", headers={**api.headers, "accept": "text/html"})
    assert (unknown.status_code, unknown.json()["title"]) == (404, "resource-not-found")
    wrong = httpx.post(f"{airbyte.url}/workspaces/{airbyte.workspace_id}", headers={"accept": "text/html"})
    assert (wrong.status_code, "<h1>Not done</h1>" in wrong.text) == (405, True)


def test_what_breaks_is_a_page_for_browsers(
    airbyte: RunningAirbyte, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without its inner words, which go to the server's output."""
    monkeypatch.setattr(airbyte.store, "workspace", lambda _id: 1 // 0)
    answer = get(airbyte, f"/workspaces/{airbyte.workspace_id}")
    assert (answer.status_code, "<h1>Something is wrong here</h1>" in answer.text) == (500, True)
    assert "ZeroDivisionError" not in answer.text
    assert "ZeroDivisionError" in caplog.text


def test_deleted_connections_keep_their_page(airbyte: RunningAirbyte, api: Api) -> None:
    """What it did can still be looked up, as the API still gives it by id, even when its ends are gone."""
    source = api.source(count=1)
    connection = api.connection(source, api.destination(), ["users"])
    api.delete(f"/sources/{source}")
    text = get(airbyte, f"/workspaces/{airbyte.workspace_id}/connections/{connection}/status").text
    assert ">deprecated<" in text
    assert ">deleted<" in text
    assert "<form" not in text


def test_templates_are_shipped() -> None:
    """What the pages are made of goes into the wheel."""
    package = Path(pages.__file__).parent
    setup = ConfigParser()
    setup.read(package.parents[1] / "setup.cfg")
    patterns = setup["options.package_data"]["airbyte_dagster.local"].split()
    shipped = {path for pattern in patterns for path in package.glob(pattern)}
    assert {path for path in (package / "templates").iterdir() if path.is_file()} <= shipped


def test_sizes() -> None:
    """Bytes are shown with a unit that suits them."""
    shown = [pages.size(count) for count in (0, 999, 1500, 2_500_000, 3_000_000_000, 4_000_000_000_000_000)]
    assert pages.size(None) == "–"
    assert shown == ["0 B", "999 B", "1.5 kB", "2.5 MB", "3.0 GB", "4000.0 TB"]
