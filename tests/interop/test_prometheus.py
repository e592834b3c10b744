"""The text, the rules and the alerts, as Prometheus itself sees them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from certbroker.dashboard import Doorkeeper
from certbroker.sandbox.edge import Trouble
from certbroker.secret import Secret
from tests.dashboard.served import HOSTS, dashboard
from tests.scenarios.test_restore import FASTLY_EDGE
from tests.scenarios.town import town
from tests.servers.prometheus import Prometheus, prometheus, promtool

pytestmark = pytest.mark.interop

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus-rules.yml"
TOKEN = "a-token-of-the-dashboard"
PATIENCE = 60.0


def test_the_rules_are_rules_and_fire_when_they_should() -> None:
    checked = promtool("check", "rules", RULES.name, folder=DEPLOY)
    assert checked.returncode == 0, checked.stderr
    tested = promtool("test", "rules", "prometheus-rules.test.yml", folder=DEPLOY)
    assert tested.returncode == 0, tested.stdout + tested.stderr


def waited_for(look: Callable[[], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """What it finds, once it finds anything."""
    end = time.monotonic() + PATIENCE
    while not (found := look()):
        assert time.monotonic() < end, "nothing came"
        time.sleep(0.2)
    return found


def firing(server: Prometheus, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = server.get("alerts")["alerts"]
    return [each for each in found if (each["labels"]["alertname"], each["state"]) == (name, "firing")]


def test_a_broken_edge_is_scraped_and_pages(tmp_path: Path) -> None:
    with town(tmp_path / "town") as place:
        place.run("renew")
        keeper = Doorkeeper(HOSTS, Secret(TOKEN))
        with dashboard(place.world(), place.folder, place.clock, keeper) as site:
            well = site.get("/metrics", headers={"authorization": f"Bearer {TOKEN}"})
            checked = promtool("check", "metrics", text=well.content, folder=tmp_path)
            assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
            address = site.url.removeprefix("http://")
            with prometheus(tmp_path / "prometheus", address, token=TOKEN, rules=RULES) as server:
                before = waited_for(lambda: server.get("query", query="sum(certbroker_conditions)")["result"])
                assert [each["value"][1] for each in before] == ["0"]
                place.house.edges[FASTLY_EDGE].listeners[0].trouble = Trouble.PLAINTEXT
                place.later(hours=7)
                place.run("renew", ends=1)
                fired = waited_for(lambda: firing(server, "CertbrokerPage"))
    assert [(each["labels"]["severity"], each["labels"]["kind"]) for each in fired] == [("page", "broken")]
    assert "certbroker status" in fired[0]["annotations"]["description"]
