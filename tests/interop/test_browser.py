"""A real browser looks at the dashboard: every page, small and large, dark and light, with and without scripts, by keyboard alone.

With CERTBROKER_SCREENSHOTS=DIR the pages of the README are drawn anew.
"""

from __future__ import annotations

import importlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from certbroker.testkit.simulator import Fault, Response
from tests.dashboard.served import Site, dashboard
from tests.scenarios.town import Town, town

pytestmark = pytest.mark.interop

PAGES = {
    "overview": "/",
    "timeline": "/timeline",
    "readiness": "/readiness",
    "runs": "/runs",
    "history": "/history",
    "certificate": "/certificates/main",
    "target": "/targets/fastly",
}
WIDTHS = (390, 1440)
SCHEMES = ("light", "dark")


def needed(name: str, what: str) -> Any:
    """A module. Without it the test is skipped; in CI that is a failure."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        _missing(what)


def _missing(what: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(f"needs {what}")
    pytest.skip(f"needs {what}")


@dataclass
class Window:
    """A page in a browser, and all that it complained of."""

    page: Any
    complaints: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    api = needed("playwright.sync_api", "the package playwright (pip install 'certbroker[interop]')")
    program = shutil.which("chromium")
    if program is None:
        _missing("Chromium (Debian's package chromium)")
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """One certificate is served, one waits at Fastly, one cannot be pushed."""
    with town(tmp_path_factory.mktemp("browser") / "town") as made:
        certificates = made.certificate(targets=("fastly", "fly-blue", "fly-green", "folder"))
        certificates += made.certificate("shop", names=("shop.example.com",), targets=("fly-blue", "fly-green"))
        made.configure(certificates=certificates)
        made.edit('app = "site-green"', 'app = "site-green"\nstandby = true')
        made.run("renew")
        made.run("renew", "--refresh-ari")
        made.later(days=62)
        made.platform("fastly").faults.append(
            Fault(Response.html(500, "oops"), times=10**6, matches=lambda request: request.write)
        )
        for _ in range(3):
            made.run("renew", ends=None)
            made.later(hours=5)
        yield made


@pytest.fixture(scope="module")
def site(place: Town) -> Iterator[Site]:
    with dashboard(place.world(), place.folder, place.clock) as served:
        yield served


@contextmanager
def window(browser: Any, site: Site, path: str, *, width: int = 1440, **more: Any) -> Iterator[Window]:
    context = browser.new_context(viewport={"width": width, "height": 900}, **more)
    page = context.new_page()
    found = Window(page)
    page.on("console", lambda message: found.complaints.append(message.text))
    page.on("pageerror", lambda error: found.complaints.append(str(error)))
    page.on("requestfailed", lambda request: found.complaints.append(f"failed: {request.url}"))
    page.goto(site.url + path)
    try:
        yield found
    finally:
        context.close()


@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_and_nothing_is_complained_of(browser: Any, site: Site, name: str) -> None:
    axe = needed("axe_playwright_python.sync_playwright", "the package axe-playwright-python").Axe()
    for width in WIDTHS:
        for scheme in SCHEMES:
            with window(browser, site, PAGES[name], width=width, color_scheme=scheme) as seen:
                result = axe.run(seen.page)
                assert result.violations_count == 0, result.generate_report()
                assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
                assert seen.complaints == []


@pytest.mark.parametrize("name", PAGES)
def test_without_scripts_a_page_says_the_same(browser: Any, site: Site, name: str) -> None:
    with (
        window(browser, site, PAGES[name]) as live,
        window(browser, site, PAGES[name], java_script_enabled=False) as bare,
    ):
        assert bare.page.locator("main").inner_text() == live.page.locator("main").inner_text()
        assert bare.complaints == []


def test_everything_is_reached_by_keyboard(browser: Any, site: Site) -> None:
    with window(browser, site, "/") as seen:
        page = seen.page
        page.keyboard.press("Tab")
        assert page.locator(":focus").inner_text() == "to the content"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
        links = {page.locator("main a").nth(at).get_attribute("href") for at in range(page.locator("main a").count())}
        reached = set()
        for _ in range(60):
            page.keyboard.press("Tab")
            reached.add(page.evaluate("document.activeElement.getAttribute('href')"))
        assert links <= reached
        page.locator("main a", has_text="main").first.focus()
        page.keyboard.press("Enter")
        page.wait_for_url("**/certificates/main")


def test_an_open_page_shows_a_run_without_being_loaded_again(browser: Any, tmp_path: Path) -> None:
    """Issue, a push that fails, its repair: seen as they happen."""
    api = needed("playwright.sync_api", "the package playwright")
    with (
        town(tmp_path / "town") as place,
        dashboard(place.world(), place.folder, place.clock) as site,
        window(browser, site, "/") as seen,
    ):
        page = seen.page
        api.expect(page.locator("#live")).to_be_visible()
        page.evaluate("window.loadedOnce = true")
        api.expect(page.locator("main")).to_contain_text("What to do first")
        fault = Fault(Response.html(500, "oops"), times=10**6, matches=lambda request: request.write)
        place.platform("fastly").faults.append(fault)
        place.run("renew", ends=1)
        api.expect(page.locator("main")).to_contain_text("failing", timeout=15_000)
        place.platform("fastly").faults.clear()
        place.later(hours=2)
        place.run("renew")
        api.expect(page.locator("main")).to_contain_text("4 of 4 as wanted", timeout=15_000)
        assert page.evaluate("window.loadedOnce") is True
        assert seen.complaints == []


def test_the_pages_of_the_readme_are_drawn(browser: Any, site: Site, tmp_path: Path) -> None:
    folder = Path(os.environ.get("CERTBROKER_SCREENSHOTS") or tmp_path)
    for name, width, scheme in (("overview", 1440, "light"), ("overview", 390, "dark"), ("timeline", 1440, "light")):
        with window(browser, site, PAGES[name], width=width, color_scheme=scheme) as seen:
            file = folder / f"{name}-{width}.png"
            seen.page.screenshot(path=str(file), full_page=True)
            assert file.stat().st_size > 10_000
    with window(browser, site, PAGES["certificate"], width=1440) as seen:
        seen.page.screenshot(path=str(folder / "certificate-1440.png"), full_page=True)
