"""A PostgreSQL that is away reaches a person, and its end too: by the real command line, on a clock."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.alerts.ears import web
from tests.postgres import postgres
from tests.scenarios.town import town

pytestmark = pytest.mark.interop


def test_a_postgresql_that_is_away_is_told_by_the_second_run_in_a_row(tmp_path: Path) -> None:
    with postgres() as server, town(tmp_path, init=False) as made, web() as chat:
        file = tmp_path / "certbroker.toml"
        text, count = re.subn(r'(?m)^url = "sqlite.*$', 'url = { env = "STORE" }', file.read_text())
        assert count == 1
        file.write_text(f'{text}\n[alerts]\ntell = {{ webhook = {{ env = "CHAT_URL" }} }}\n')
        here = server.database()
        made.environ |= {"CHAT_URL": chat.url, "STORE": here}
        made.run("init")
        made.run("renew")
        made.environ["STORE"] = here.replace(f":{server.port}/", ":1/")
        for heard in (0, 1, 1, 1):
            made.later(hours=1)
            made.run("renew", ends=2)
            assert len(chat.heard) == heard
        assert "cannot be reached" in chat.heard[0]["what"]
        assert "main is the first to end" in chat.heard[0]["now"]
        assert server.password not in str(chat.heard)
        made.environ["STORE"] = here
        made.later(hours=1)
        made.run("renew")
        assert [each["change"] for each in chat.heard] == ["begun", "over"]
        del made.environ["STORE"]
        made.run("renew", ends=2)
        assert "names $STORE, which is not set" in chat.heard[-1]["what"]
