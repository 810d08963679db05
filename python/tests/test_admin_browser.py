"""Tests of the admin page in a browser, Chromium, against a service on a real server.

HOTSHELF_SCREENSHOTS=FOLDER stores what the pages look like.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from admin_site import MARKUP
from conftest import RedisServer, free_port

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium not found"),
    # Of playwright's event loop, when it stops.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


class Site:
    """A service with an admin page, and its Redis."""

    def __init__(self) -> None:
        self.redis = RedisServer().start()
        self.origin = f"http://127.0.0.1:{free_port()}"
        self.base = f"{self.origin}/ops/cache/"
        program = str(Path(__file__).with_name("admin_site.py"))
        port = self.origin.rsplit(":", 1)[1]
        self.process = subprocess.Popen(
            [sys.executable, program, port, self.redis.url],
            preexec_fn=lambda: ctypes.CDLL(None).prctl(1, signal.SIGKILL),
        )
        deadline = time.monotonic() + 15
        while True:
            try:
                with urllib.request.urlopen(self.base):
                    return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.close()
                    raise RuntimeError("the service doesn't start") from None
                time.sleep(0.05)

    def terminate(self) -> float:
        """Sends SIGTERM, and returns how long the process took to end, in seconds."""
        start = time.monotonic()
        self.process.terminate()
        self.process.wait(15)
        return time.monotonic() - start

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.redis.close()


class Browser:
    """Opens pages, and keeps what they complain about and ask for."""

    def __init__(self, browser: playwright.Browser, site: Site) -> None:
        self.browser = browser
        self.site = site
        self.problems: list[str] = []
        self.requests: list[str] = []
        self.pages: list[playwright.Page] = []

    def open(self, view: str = "#/", width: int = 1280, scheme: str = "light") -> playwright.Page:
        viewport = {"width": width, "height": 800}
        page = self.browser.new_page(viewport=viewport, color_scheme=scheme)
        self.pages.append(page)

        def complain(message: playwright.ConsoleMessage) -> None:
            if message.type in ("error", "warning"):
                self.problems.append(message.text)

        page.on("console", complain)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        self.show(page, view)
        return page

    def show(self, page: playwright.Page, view: str) -> None:
        page.goto(self.site.base + view)
        page.wait_for_selector("h1")
        page.wait_for_timeout(400)

    def check(self) -> None:
        """Nothing was complained about, and nothing was asked of anyone else."""
        assert self.problems == []
        assert [url for url in self.requests if not url.startswith(self.site.base)] == []


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[playwright.Browser]:
    with playwright.sync_playwright() as running:
        # Its sandbox doesn't work as root.
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = running.chromium.launch(executable_path=CHROMIUM, args=sandbox)
        yield browser
        browser.close()


@pytest.fixture
def browser(chromium: playwright.Browser, site: Site) -> Iterator[Browser]:
    browser = Browser(chromium, site)
    yield browser
    for page in browser.pages:
        page.close()


def wait_until(page: playwright.Page, condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, page.locator("body").inner_text()
        page.wait_for_timeout(50)


def keys_of(site: Site) -> list[str]:
    return [key for key in site.redis.keys() if "products" in key]


def test_figures_move(browser: Browser) -> None:
    page = browser.open()

    def figures() -> tuple[list[str], str | None, str | None]:
        line = page.locator(".plot .line").first.get_attribute("d")
        label = page.locator("svg.plot").first.get_attribute("aria-label")
        return page.locator(".figure").all_inner_texts(), label, line

    before = figures()
    assert any(character.isdigit() for character in "".join(before[0]))
    wait_until(page, lambda: all(a != b for a, b in zip(before, figures(), strict=True)))
    assert page.locator("table tbody tr").count() == 2
    browser.check()


def test_page_polls_once_a_second_and_pauses_when_hidden(browser: Browser) -> None:
    page = browser.open()

    def polls(milliseconds: int) -> int:
        before = len(browser.requests)
        page.wait_for_timeout(milliseconds)
        return len([url for url in browser.requests[before:] if "/api/state" in url])

    assert 2 <= polls(4_000) <= 5
    hide = "hidden => { Object.defineProperty(document, 'hidden', {get: () => hidden, "
    hide += "configurable: true}); document.dispatchEvent(new Event('visibilitychange')); }"
    page.evaluate(hide, True)
    page.wait_for_timeout(200)
    assert polls(2_500) == 0
    page.evaluate(hide, False)
    assert polls(1_500) >= 1
    browser.check()


def test_invalidation_by_keyboard(browser: Browser, site: Site) -> None:
    page = browser.open()
    wait_until(page, lambda: len(keys_of(site)) > 5)
    key = next(key for key in keys_of(site) if "onerror" not in key)
    wanted = site.redis.command("GET", key)
    browser.show(page, f"#/invalidate?by=key&name={quote(key, safe='')}")
    page.get_by_label("Name", exact=True).focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".danger")
    # Nothing is removed yet.
    assert site.redis.command("GET", key)[:5] == wanted[:5]
    assert key in page.locator(".danger").inner_text()
    while not page.evaluate("document.activeElement.matches('.danger')"):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector(".outcome.good")
    assert key in page.locator(".log").inner_text()
    browser.show(page, "#/events")
    wait_until(page, lambda: key in page.locator("main").inner_text())
    browser.check()


def test_markup_stays_text(browser: Browser, site: Site) -> None:
    page = browser.open()
    # hotshelf escapes what it puts into keys. Others may not.
    key = f"shop:v1:products:{MARKUP}"
    site.redis.command("SET", key, MARKUP)
    escaped = next(key for key in keys_of(site) if "onerror" in key and MARKUP not in key)
    quoted = quote(key, safe="")
    views = [
        f"#/key/{quote(escaped, safe='')}", "#/", "#/keys?by=prefix&q=shop", f"#/keys?by=pattern&q={quoted}", f"#/key/{quoted}",
        f"#/cache/{quoted}", f"#/invalidate?by=tag&name={quote(MARKUP, safe='')}", "#/events",
        f"#/{quoted}",
    ]  # fmt: skip
    for view in views:
        browser.show(page, view)
        for name in ("Preview", "Show the value", "Load more"):
            button = page.get_by_role("button", name=name)
            if button.count() and button.is_visible() and button.is_enabled():
                button.click()
                page.wait_for_timeout(300)
        assert page.evaluate("window.pwned") is None, view
        injected = "body img, body script, body iframe, body [onload], body [onerror]"
        assert page.locator(injected).count() == 0, view
        inside = f"[...document.links].every(a => a.href.startsWith('{site.base}'))"
        assert page.evaluate(inside), view
    browser.show(page, f"#/key/{quoted}")
    assert MARKUP in page.locator("main").inner_text()
    site.redis.command("DEL", key)
    # Looking for a cache that doesn't exist is an answer with the status 404.
    browser.problems = [text for text in browser.problems if "404" not in text]
    browser.check()


@pytest.mark.parametrize(("width", "scheme"), [(320, "dark"), (768, "light"), (1440, "dark")])
def test_every_view_fits(browser: Browser, site: Site, width: int, scheme: str) -> None:
    page = browser.open(width=width, scheme=scheme)
    key = quote(keys_of(site)[0], safe="")
    views = {
        "overview": "#/", "cache": f"#/cache/{quote('shop:v1:products', safe='')}",
        "keys": "#/keys?by=prefix&q=shop", "key": f"#/key/{key}",
        "invalidate": "#/invalidate", "events": "#/events",
    }  # fmt: skip
    for name, view in views.items():
        browser.show(page, view)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
        assert page.locator("h1").count() == 1, name
        unnamed = "[...document.querySelectorAll('input, select')]"
        unnamed += ".filter(it => !it.labels.length && !it.getAttribute('aria-label')).length"
        assert page.evaluate(unnamed) == 0, name
        if folder := os.environ.get("HOTSHELF_SCREENSHOTS"):
            page.screenshot(path=f"{folder}/{name}-{width}-{scheme}.png", full_page=True)
    browser.check()


def test_hottest_keys_are_shown(browser: Browser) -> None:
    page = browser.open(f"#/cache/{quote('shop:v1:products', safe='')}")

    def shown() -> bool:
        page.get_by_role("button", name="Read again").click()
        page.wait_for_timeout(300)
        return page.locator("table", has_text="Reads sampled").locator("tbody tr").count() > 0

    wait_until(page, shown)
    browser.check()


def test_outage_is_shown(browser: Browser, site: Site) -> None:
    page = browser.open()
    site.redis.pause()
    try:
        wait_until(page, lambda: page.locator(".notice").count() > 0)
    finally:
        site.redis.go_on()
    wait_until(page, lambda: page.locator(".notice").count() == 0, 20)
    browser.show(page, "#/events")
    wait_until(page, lambda: page.locator("tbody tr").count() >= 2)
    browser.problems = [text for text in browser.problems if "50" not in text]
    browser.check()


def test_open_pages_do_not_delay_shutdown(chromium: playwright.Browser) -> None:
    site = Site()
    try:
        browser = Browser(chromium, site)
        for _ in range(10):
            browser.open()
        assert site.terminate() < 3
        for page in browser.pages:
            page.close()
    finally:
        site.close()
