"""[alerts]: who is told, and what is set aside before the last safe moment."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from certbroker.config import AlertSettings
from certbroker.notices import Route
from certbroker.safe import Allowance
from certbroker.secret import SecretRef
from tests.config.files import HEAD, MAIN, problems, read

ALERTS = """
[alerts]
page = { webhook = { env = "PAGER_URL" } }
tell = [
  { slack = { file = "slack.url" } },
  { smtp = { env = "SMTP_URL" }, from = "certbroker@example.com", to = ["a@example.com", "b@example.com"] },
  { apprise = { env = "PUSH_URL" } },
]
heartbeat = { env = "HEARTBEAT_URL" }
allowance = { people = "12h", ca = "6h" }
link = "https://certs.example.com/"
"""


def test_alerts_become_values_and_no_secret_is_opened(tmp_path: Path) -> None:
    config = read(tmp_path, HEAD + MAIN + ALERTS)
    found = config.alerts
    assert found.page == (Route("webhook", SecretRef(env="PAGER_URL")),)
    assert found.tell == (
        Route("slack", SecretRef(file=str(tmp_path / "slack.url"))),
        Route("smtp", SecretRef(env="SMTP_URL"), "certbroker@example.com", ("a@example.com", "b@example.com")),
        Route("apprise", SecretRef(env="PUSH_URL")),
    )
    assert found.heartbeat == SecretRef(env="HEARTBEAT_URL")
    assert found.allowance == Allowance(timedelta(hours=12), timedelta(hours=6))
    assert found.link == "https://certs.example.com"
    places = {use.where for use in config.secrets(targets=(), solvers=(), issuers=(), store=False)}
    head = (HEAD + MAIN).count("\n")
    assert places == {
        f"alerts.page.webhook (certbroker.toml:{head + 3})",
        f"alerts.tell.slack (certbroker.toml:{head + 4})",
        f"alerts.tell.smtp (certbroker.toml:{head + 4})",
        f"alerts.tell.apprise (certbroker.toml:{head + 4})",
        f"alerts.heartbeat (certbroker.toml:{head + 9})",
    }
    assert config.secrets(targets=(), solvers=(), issuers=(), store=False, alerts=False) == []


def test_without_the_table_nobody_is_told_and_the_defaults_hold(tmp_path: Path) -> None:
    assert read(tmp_path, HEAD + MAIN).alerts == AlertSettings()


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ('page = { webhok = { env = "A" } }', "alerts.page.webhok: is not a setting here; did you mean webhook?"),
        ('page = { webhook = "https://hooks.example/T0" }', "alerts.page.webhook: must be { env"),
        ('page = { webhook = { env = "A" }, slack = { env = "B" } }', "alerts.page: names webhook and slack: it needs"),
        ("page = {}", "alerts.page: names no way to tell: it needs exactly one of webhook, slack, smtp or apprise"),
        ("page = 3", "alerts.page: must be a way to tell, as in { webhook"),
        ('tell = { smtp = { env = "A" } }', "alerts.tell: smtp needs from and to"),
        (
            'tell = { slack = { env = "A" }, to = "a@b.example" }',
            "alerts.tell: from and to go with smtp, not with slack",
        ),
        (
            'tell = { smtp = { env = "A" }, from = "a@b.example", to = "x@y.example\\nBcc: z@y.example" }',
            "alerts.tell.to: must be a mail address",
        ),
        ('allowance = { people = "1" }', "alerts.allowance.people: must be a time with its unit"),
        ('allowance = { peple = "1h" }', "alerts.allowance.peple: is not a setting here; did you mean people?"),
        ('link = "http://certs.example.com"', "alerts.link: must begin with https://"),
        ('heartbeat = "https://beat.example/1"', "alerts.heartbeat: must be { env"),
        ("paeg = {}", "alerts.paeg: is not a setting here; did you mean page?"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, table: str, told: str) -> None:
    [found] = problems(tmp_path, f"{HEAD}{MAIN}\n[alerts]\n{table}\n")
    line = (HEAD + MAIN).count("\n") + 3
    assert found.startswith(f"certbroker.toml:{line}: {told}")
