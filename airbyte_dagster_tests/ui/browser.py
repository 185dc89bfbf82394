"""Debian's Chromium, driven by Playwright, with no way out of this machine."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, Request, sync_playwright

_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-domain-reliability",
    "--disable-sync",
    "--no-first-run",
    "--no-pings",
    # Whatever else would call home finds no address there.
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
)
_LOCAL = ("data", "blob", "about", "chrome-error")


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Run the Chromium that is installed, without a window; its own profile, gone at the end."""
    executable = shutil.which("chromium")
    assert executable, "Chromium is not installed: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(_ARGUMENTS))
        yield browser
        browser.close()


@contextlib.contextmanager
def open_page(browser: Browser, url: str, *, patience: float, **context: Any) -> Iterator[Page]:
    """Open an empty page in a context of its own. That it asked other machines for something is an error at the end.

    Args:
        url: What paths are relative to.
        patience: Seconds that anything may take.
        context: Further settings of the context, such as the size of the window.
    """
    strangers: list[str] = []

    def note(request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in _LOCAL and parts.hostname != "127.0.0.1":
            strangers.append(request.url)

    opened = browser.new_context(base_url=url, **context)
    opened.set_default_timeout(patience * 1000)
    opened.on("request", note)
    try:
        yield opened.new_page()
    finally:
        opened.close()
    assert strangers == []
