"""Metrics of a town in which something went right, then wrong: the same at /metrics and in the textfile."""

from __future__ import annotations

import json
import logging
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
import yaml
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from certbroker import broker
from certbroker.dashboard import Doorkeeper
from certbroker.metrics import exposition, keep
from certbroker.secret import Secret
from certbroker.store import Store
from certbroker.testkit.simulator import Fault, Response
from tests.dashboard.served import HOSTS, dashboard
from tests.quiet import quiet
from tests.scenarios.town import Town, town

ROOT = Path(__file__).parents[2]
METRIC = re.compile(r"\bcertbroker_[a-z_]+")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with town(tmp_path_factory.mktemp("metrics") / "town") as made:
        made.edit("[certificate.main]", '[metrics]\ntextfile = "certbroker.prom"\n\n[certificate.main]')
        made.run("renew")
        yield made


def read(text: str) -> dict[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(text)}


def value(found: dict[str, Metric], name: str, **labels: str) -> float | None:
    values = [sample.value for sample in found[name].samples if sample.labels == labels]
    assert len(values) <= 1
    return values[0] if values else None


def scraped(place: Town) -> dict[str, Metric]:
    with dashboard(place.world(), place.folder, place.clock) as site:
        answer = site.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return read(answer.text)


def test_every_metric_is_in_the_readme_and_nothing_else(place: Town) -> None:
    table = [line for line in (ROOT / "certbroker/metrics/README.md").read_text().splitlines() if line[:2] == "| "]
    assert set(METRIC.findall("\n".join(table))) == set(scraped(place))


def test_every_expression_that_we_ship_names_metrics_that_there_are(place: Town) -> None:
    panels = json.loads((ROOT / "deploy/grafana.json").read_text())["panels"]
    expressions = [target["expr"] for panel in panels for target in panel["targets"]]
    groups = yaml.safe_load((ROOT / "deploy/prometheus-rules.yml").read_text())["groups"]
    expressions += [rule["expr"] for group in groups for rule in group["rules"]]
    there = set(scraped(place))
    for expression in expressions:
        named = set(METRIC.findall(expression))
        assert named, expression
        assert named <= there, expression


def test_a_day_on_which_all_is_well(place: Town) -> None:
    found = scraped(place)
    with place.store() as store:
        standing = store.standing("main")
        runs = store.runs(1)
    assert standing is not None
    assert standing.ends is not None
    assert standing.act_by is not None
    ends = value(found, "certbroker_certificate_expiry_timestamp_seconds", certificate="main")
    safe = value(found, "certbroker_certificate_last_safe_moment_timestamp_seconds", certificate="main")
    assert (ends, safe) == (standing.ends.timestamp(), standing.act_by.timestamp())
    agrees = {sample.labels["target"]: sample.value for sample in found["certbroker_certificate_target_agrees"].samples}
    assert agrees == dict.fromkeys([cell.target for cell in standing.cells], 1.0)
    assert sum(sample.value for sample in found["certbroker_conditions"].samples) == 0
    assert value(found, "certbroker_day_orders", issuer="sandbox", result="issued") == 1
    assert value(found, "certbroker_last_run_exit_code") == 0
    assert runs[0].ended is not None
    assert value(found, "certbroker_last_success_timestamp_seconds") == runs[0].ended.timestamp()


def test_the_textfile_says_the_same_and_anybody_may_read_it(place: Town) -> None:
    file = place.folder / "certbroker.prom"
    assert read(file.read_text()).keys() == scraped(place).keys()
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert [each.name for each in place.folder.iterdir() if each.name.startswith(".certbroker.prom")] == []


def test_what_cannot_be_written_is_a_note_and_the_run_is_well(place: Town) -> None:
    place.edit('"certbroker.prom"', '"nowhere/certbroker.prom"')
    try:
        ran = place.run("renew")
    finally:
        place.edit('"nowhere/certbroker.prom"', '"certbroker.prom"')
    assert f"note: no metrics in {place.folder / 'nowhere' / 'certbroker.prom'}: No such file or directory" in ran.out


def test_our_own_mistake_is_a_note_too_and_leaves_the_file(place: Town, caplog: pytest.LogCaptureFixture) -> None:
    file = place.folder / "certbroker.prom"
    before = file.read_bytes()
    config = broker.read_config(place.world(), None)
    wrong = keep(file, cast("Store", object()), config, place.clock.now())
    assert wrong is not None
    assert wrong.startswith(f"no metrics in {file}: a bug: AttributeError")
    assert "a bug: no metrics" in caplog.text
    assert file.read_bytes() == before


def test_a_run_that_is_refused_is_measured_too(place: Town) -> None:
    file = place.folder / "certbroker.prom"
    before = read(file.read_text())
    place.later(hours=1)
    place.run("renew", "nobody", ends=2)
    after = read(file.read_text())
    assert value(after, "certbroker_last_run_exit_code") == 2
    name = "certbroker_last_success_timestamp_seconds"
    assert value(after, name) == value(before, name)
    place.run("renew")


def test_nobody_sees_them_without_the_token(place: Town) -> None:
    keeper = Doorkeeper(HOSTS, Secret("a-long-token"))
    with dashboard(place.world(), place.folder, place.clock, keeper) as site:
        assert site.get("/metrics").status_code == 401
        assert site.get("/metrics", headers={"authorization": "Bearer a-long-token"}).status_code == 200


def test_many_certificates_cost_no_more_statements(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def statements(count: int) -> int:
        world, _ = quiet(tmp_path / str(count), count)
        config = broker.read_config(world, None)
        with caplog.at_level(logging.INFO, "sqlalchemy.engine"), broker.open_store(world, config) as store:
            caplog.clear()
            text = exposition(store, config, world.clock.now())
        selects = sum(record.getMessage().startswith("SELECT") for record in caplog.records)
        agrees = read(text.decode())["certbroker_certificate_target_agrees"].samples
        assert [sample.value for sample in agrees] == [1.0] * (2 * count)
        return selects

    assert 10 < statements(2) == statements(40)


def test_what_ended_meanwhile_agrees_no_more(tmp_path: Path) -> None:
    with town(tmp_path / "town") as place:
        place.run("renew")
        place.later(days=120)
        found = scraped(place)
    assert {sample.value for sample in found["certbroker_certificate_target_agrees"].samples} == {0.0}
    assert sum(s.value for s in found["certbroker_conditions"].samples if s.labels["severity"] == "page") > 0
    assert value(found, "certbroker_renewals_due") == 1


def test_a_platform_that_is_away_and_a_ca_that_counts(tmp_path: Path) -> None:
    with town(tmp_path / "town") as place:
        place.edit('roots = "roots.pem"', 'roots = "roots.pem"\nlimits = "letsencrypt"')
        place.platform("fastly").faults.append(Fault(Response.html(503, "away"), times=1000))
        for _ in range(2):
            place.run("renew", ends=1)
            place.later(hours=3)
        found = scraped(place)
    agrees = {sample.labels["target"]: sample.value for sample in found["certbroker_certificate_target_agrees"].samples}
    assert agrees == {"fastly": 0, "fly-blue": 1, "fly-green": 1, "folder": 1}
    assert value(found, "certbroker_day_pushes", target="fastly", result="failed") == 2
    assert value(found, "certbroker_day_pushes", target="fastly", result="served") is None
    failures = value(found, "certbroker_target_push_failures", target="fastly")
    assert failures is not None
    assert failures >= 2
    told = [(s.labels["kind"], s.value) for s in found["certbroker_conditions"].samples if s.value]
    assert told == [("push", 1)]
    assert value(found, "certbroker_last_run_exit_code") == 1
    assert found["certbroker_last_success_timestamp_seconds"].samples == []
    assert value(found, "certbroker_rate_limit_orders", issuer="sandbox") == 300
    assert value(found, "certbroker_rate_limit_orders_left", issuer="sandbox") == 300, "one came back in six hours"


def test_an_order_that_fails(tmp_path: Path) -> None:
    with town(tmp_path / "town") as place:
        place.edit('roots = "roots.pem"', 'roots = "roots.pem"\nlimits = "letsencrypt"')
        place.ca.faults.append(Fault(Response.html(400, "no"), matches=lambda r: r.path.endswith("/finalize"), times=9))
        place.run("renew", ends=1)
        found = scraped(place)
    assert value(found, "certbroker_failing_orders") == 1
    assert value(found, "certbroker_order_failures") == 1
    assert value(found, "certbroker_certificates", stand="failing") == 1
    assert value(found, "certbroker_rate_limit_orders_left", issuer="sandbox") == 299
    assert found["certbroker_certificate_expiry_timestamp_seconds"].samples == []
