"""An open page hears of what happens."""

from __future__ import annotations

from pathlib import Path

import requests

from tests.dashboard.served import dashboard
from tests.scenarios.town import town


def test_a_run_is_heard_of_at_once(tmp_path: Path) -> None:
    with town(tmp_path / "town") as place, dashboard(place.world(), place.folder, place.clock) as site:
        assert "What to do first" in site.get("/").text
        with requests.get(site.url + "/live", stream=True, timeout=20) as events:
            lines = events.iter_lines(decode_unicode=True)
            assert next(lines).startswith("retry:")
            place.run("renew")
            assert "event: changed" in lines
        page = site.get("/").text
        assert "served, verified" in page
        assert "What to do first" not in page
