"""The pages of a town in which something went right, something went wrong, and something waits."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from certbroker.broker import read_config
from certbroker.dashboard import Source
from certbroker.dashboard.pages import readiness_page
from tests.dashboard.served import Site, dashboard
from tests.scenarios.town import Town, town

PAGES = ["/", "/timeline", "/readiness", "/runs", "/history", "/certificates/main", "/targets/fastly"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with town(tmp_path_factory.mktemp("dashboard") / "town") as made:
        made.run("renew")
        made.run("renew", "--refresh-ari")
        yield made


@pytest.fixture(scope="module")
def site(place: Town) -> Iterator[Site]:
    with dashboard(place.world(), place.folder, place.clock) as served:
        yield served


class Outline(HTMLParser):
    """Checks that what is opened is closed, and collects what links and scripts name."""

    VOID = frozenset({"meta", "link", "input", "br", "rect", "line", "path"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag not in self.VOID:
            self.open.append(tag)
        self.links += [given[key] or "" for key in ("href", "src", "action") if key in given]
        self.ids += [given["id"] or ""] if "id" in given else []
        self.inline += [key for key in given if key == "style" or key.startswith("on")]
        if tag == "style" or (tag == "script" and "src" not in given):
            self.inline.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def outline(html: str) -> Outline:
    found = Outline()
    found.feed(html)
    assert found.open == []
    return found


@pytest.mark.parametrize("path", PAGES)
def test_each_page_is_whole_and_leads_only_to_pages_that_are_there(site: Site, path: str) -> None:
    answer = site.get(path)
    assert answer.status_code == 200, answer.text
    found = outline(answer.text)
    assert found.inline == [], "the policy forbids what is inline"
    assert len(found.ids) == len(set(found.ids))
    for link in {each for each in found.links if not each.startswith("#")}:
        assert link.startswith("/"), "nothing is fetched from elsewhere"
        assert site.get(link).status_code == 200, link


def test_the_first_page_says_the_truth_in_one_line(site: Site) -> None:
    page = site.get("/").text
    truth = re.search(r'<h1 class="truth">(.*?)</h1>', page)
    assert truth is not None
    assert truth[1].startswith("The certificate is served by 3 targets and delivered to 1")
    assert "Next renewal: main" in truth[1]
    assert "served, verified" in page
    assert "nobody can look" in page  # the folder


def test_a_certificate_tells_when_and_why_it_renews_and_what_each_edge_serves(site: Site) -> None:
    page = site.get("/certificates/main").text
    assert "the CA asks for" in page
    assert "What each edge serves" in page
    assert page.count("<code>certbroker ") >= 3


@pytest.mark.parametrize("path", PAGES)
def test_json_has_the_same_values(site: Site, path: str) -> None:
    answer = site.get("/api" + ("/overview" if path == "/" else path))
    assert answer.headers["content-type"] == "application/json"
    assert isinstance(answer.json(), dict)


def test_the_json_of_the_first_page(site: Site) -> None:
    found = site.get("/api/overview").json()["overview"]
    assert [row["certificate"] for row in found["rows"]] == ["main"]
    assert {cell["target"]: cell["stand"] for cell in found["rows"][0]["cells"]}["fastly"] == "served"


def test_readiness_says_when_its_own_edges_were_looked_at(place: Town) -> None:
    config = read_config(place.world(), None)
    standby = replace(config.targets["fly-green"], standby=True)
    config = replace(config, targets={**config.targets, "fly-green": standby})
    with place.store() as store:
        [found] = readiness_page(Source(config, store, place.clock, lambda: config)).targets
        looks = [look.at for look in store.seen("main") if look.target == "fly-green"]
    assert (found.target, found.ready, found.looked_at) == ("fly-green", True, min(looks))


def test_what_the_file_does_not_have(site: Site) -> None:
    for path in ("/certificates/nobody", "/targets/nobody", "/api/targets/nobody", "/nowhere", "/static/../web.py"):
        assert site.get(path).status_code == 404
    assert site.get("/?offset=-1").status_code == 400
    assert site.get("/history?before=x").status_code == 400


def test_what_is_looked_for_is_repeated_but_not_obeyed(site: Site) -> None:
    page = site.get("/", params={"find": "<script>alert(1)</script>"}).text
    assert "<script>alert" not in page
    assert "holds “&lt;script&gt;alert(1)" in page


def test_history_is_narrowed(site: Site) -> None:
    kinds = {row["kind"] for row in site.get("/api/history", params={"kind": "issued"}).json()["history"]}
    assert kinds == {"issued"}
    rows = site.get("/api/history").json()["history"]
    older = site.get("/api/history", params={"before": str(rows[3]["id"])}).json()["history"]
    assert [row["id"] for row in older] == sorted((r["id"] for r in rows if r["id"] < rows[3]["id"]), reverse=True)


def test_the_export_is_the_same_without_a_server(place: Town) -> None:
    ran = place.run("dashboard", "--export", "pages")
    folder = place.folder / "pages"
    assert "open index.html" in ran.out
    files = sorted(folder.rglob("*.html"))
    assert len(files) >= 10
    for file in files:
        found = outline(file.read_text())
        for link in found.links:
            if not link.startswith("#"):
                assert (file.parent / link).resolve().is_relative_to(folder.resolve())
                assert (file.parent / link).exists(), f"{file.name}: {link}"
    assert json.loads((folder / "index.json").read_text())["overview"]["total"] == 1


def test_a_file_that_was_broken_meanwhile_is_told_and_the_last_good_one_shown(tmp_path: Path) -> None:
    with town(tmp_path / "town") as place, dashboard(place.world(), place.folder, place.clock) as site:
        file = place.folder / "certbroker.toml"
        good = file.read_text()
        file.write_text(good + "\n[nonsense]\n")
        page = site.get("/").text
        assert "cannot be read" in page
        assert "nonsense" in page
        file.write_text(good)
        assert "cannot be read" not in site.get("/").text
