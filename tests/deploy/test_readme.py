"""The page about drift names every cause."""

from __future__ import annotations

import re
from pathlib import Path

import certbroker.deploy
from certbroker.deploy.causes import Cause


def test_every_cause_has_its_line_in_the_order_of_the_worst() -> None:
    text = (Path(str(certbroker.deploy.__file__)).parent / "README.md").read_text()
    assert re.findall(r"^\| `([a-z-]+)` \|", text, re.MULTILINE) == [cause.value for cause in Cause]
