"""Every setting of every solver is told in the room's README."""

from __future__ import annotations

from pathlib import Path

import pytest

from certbroker import challenges

README = (Path(challenges.__file__).parent / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", challenges.solver_types())
def test_each_setting_is_documented(kind: str) -> None:
    settings = challenges.solver_settings(kind)
    assert settings is not None
    section = README.split(f"\n## {kind}\n", 1)[1].split("\n## ", 1)[0]
    missing = [name for name in settings.model_fields if f"`{name}`" not in section]
    assert not missing
