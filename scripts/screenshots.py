"""Make the pictures of the docs: ``python -m scripts.screenshots [DIRECTORY]``, ``docs/images`` by default.

Runs the pipeline of `airbyte_dagster.definitions` with the real connectors in a new home, and looks at it with
``airbyte-dagster dev`` in Debian's Chromium.
"""
# ruff: noqa: INP001 - a directory of programs

from __future__ import annotations

import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, expect
from rich.console import Console

from airbyte_dagster.definitions import pipeline
from airbyte_dagster.local.environments import prepare
from airbyte_dagster.local.settings import resolve_home
from airbyte_dagster_tests.command_line import Commands
from airbyte_dagster_tests.ui.browser import chromium, open_page
from airbyte_dagster_tests.ui.dagster_process import free_port, wait_until_up

_ROOT = Path(__file__).parents[1]
_JOBS = "/locations/airbyte_dagster.definitions/jobs"
_SIZE = {"width": 1280, "height": 800}
_HEIGHT_OF_A_JOB = 1060
_MOST_BYTES = 180_000
_MOST_TURNS = 200
_PATIENCE = 120.0
_RUNS_BEFORE = 2
_SCROLL_LIST_TO = """line => {
  let list = line.parentElement;
  while (!/auto|scroll/.test(getComputedStyle(list).overflowY)) list = list.parentElement;
  list.scrollTop += line.getBoundingClientRect().top - list.getBoundingClientRect().top - 10;
}"""
#: A log has the paths of the home that the pictures are taken in.
_WITHOUT_DIRECTORIES = """directories => {
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode())
    for (const one of directories) texts.currentNode.data = texts.currentNode.data.replaceAll(one, "~");
}"""
_CONFIG = """ops:
  create_source:
    config:
      configuration:
        count: 500
        seed: 42
  create_connection:
    config:
      refresh_streams: true
"""


class Camera:
    """Takes pictures of a page.

    Args:
        page: Where to look.
        directory: Where the pictures go.
        hidden: What must not be read in them.
    """

    def __init__(self, page: Page, directory: Path, hidden: list[str]) -> None:
        self.page = page
        self.directory = directory
        self.hidden = hidden

    def open(self, path: str, words: str | re.Pattern[str]) -> None:
        """Open a page of Dagster's UI, and wait until it shows some words."""
        self.page.goto(path)
        self.page.get_by_text(words).first.wait_for()

    def turn_back_to(self, words: str) -> None:
        """Turn the list in the lower half of the page back, until a line is at its top; before, the page lacks it."""
        line = self.page.get_by_text(words)
        self.page.mouse.move(_SIZE["width"] / 2, _SIZE["height"] * 0.75)
        for _ in range(_MOST_TURNS):
            if line.count():
                break
            self.page.mouse.wheel(0, -_SIZE["height"] / 4)
            self.page.evaluate("() => new Promise(requestAnimationFrame)")
        line.evaluate(_SCROLL_LIST_TO)

    def take(self, name: str) -> str:
        """Take a picture of the page, once everything in it is loaded; a line about it.

        Raises:
            ValueError: The picture would show what must not be read in it, or is large.
        """
        self.page.wait_for_load_state("networkidle")
        self.page.mouse.move(0, 0)
        text = self.page.locator("body").inner_text()
        found = [part for part in self.hidden if part in text]
        path = self.directory / f"{name}.png"
        size = len(self.page.screenshot(path=path, animations="disabled", caret="hide"))
        if found or size > _MOST_BYTES:
            raise ValueError(f"{path.name} has {size:,} bytes, and shows {found or 'nothing that it must not show'}.")
        return f"{path.name}: {size:,} bytes"


def pictures(camera: Camera) -> Iterator[str]:
    """Take all pictures; a line about each."""
    page, name = camera.page, pipeline.name
    stream = f"/assets/{name}/users"

    camera.open("/", "Hide navigation")
    page.get_by_role("button", name="Hide navigation").click()

    camera.open(f"{_JOBS}/provision_{name}/playground", "No errors")
    page.locator(".CodeMirror").first.click()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.insert_text(_CONFIG)
    # The help beside it is about the place of the cursor.
    page.locator(".CodeMirror-line").filter(has_text="config:").first.click()
    expect(page.get_by_role("button", name=re.compile("Launch Run"))).to_be_enabled(timeout=_PATIENCE * 1000)
    yield camera.take("launchpad")

    camera.open("/asset-groups", "Materialize all")
    page.get_by_role("button", name=re.compile("Materialize all")).click()
    note = page.get_by_role("listitem").filter(has_text="Launched run")
    run = str(note.get_by_role("link", name="View").get_attribute("href"))
    camera.open(run, "RUN_SUCCESS")
    page.reload()
    # The log has been turned to its end by then.
    expect(page.get_by_text("RUN_SUCCESS")).to_be_in_viewport(timeout=_PATIENCE * 1000)
    camera.turn_back_to("Sync started")
    yield camera.take("run")

    camera.open("/asset-groups", "Materialized")
    yield camera.take("graph")

    camera.open(stream, "Primary key")
    yield camera.take("asset")

    camera.open(f"{stream}?view=checks&checkDetail=row_count", "rows_in_warehouse")
    yield camera.take("checks")

    # Of local Airbyte, behind the link that the materialization has.
    camera.open(stream, "Primary key")
    camera.open(str(page.locator("a[href*='jobId=']").first.get_attribute("href")), "Attempts")
    page.set_viewport_size({"width": _SIZE["width"], "height": _HEIGHT_OF_A_JOB})
    page.evaluate(_WITHOUT_DIRECTORIES, camera.hidden)
    yield camera.take("job")


@contextmanager
def running_product(home: Path) -> Iterator[str]:
    """Run the pipeline a few times, then ``airbyte-dagster dev`` for a block; the URL of Dagster's UI."""
    commands = Commands(home)
    for _ in range(_RUNS_BEFORE):
        status, said = commands.run("run")
        if status:
            raise RuntimeError(said)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    log = home / "dev.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "airbyte_dagster", "dev", "--port", str(port)],
            env=commands.environment,
            stdout=output,
            stderr=output,
        )
    try:
        wait_until_up(process, url, log)
        yield url
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()
        commands.wait_until_none_is_left()


def main(directory: Path) -> None:
    """Make the pictures."""
    console = Console(highlight=False)
    prepare(resolve_home().environments, ["faker"], console.print)
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary) / "home"
        home.mkdir()
        with (
            running_product(home) as url,
            chromium() as browser,
            open_page(browser, url, patience=_PATIENCE, viewport=_SIZE, locale="en-US", timezone_id="UTC") as page,
        ):
            for line in pictures(Camera(page, directory, [temporary, str(_ROOT), str(Path.home())])):
                console.print(line)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else _ROOT / "docs" / "images")
