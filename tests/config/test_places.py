"""Where the file is looked for, and where things lie by default."""

from __future__ import annotations

from pathlib import Path

import pytest

from certbroker.config import config_folder, default_store, default_vault, find, state_folder
from certbroker.errors import UsageError


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("")
    return path


def test_the_first_file_that_is_there_is_used(tmp_path: Path) -> None:
    home, cwd = tmp_path / "home", tmp_path / "work"
    environ = {"HOME": str(home), "XDG_CONFIG_DIRS": f"{tmp_path}/xdg:relative"}
    system = put(tmp_path / "xdg/certbroker/certbroker.toml")
    assert find(None, environ, cwd) == system
    user = put(home / ".config/certbroker/certbroker.toml")
    assert find(None, environ, cwd) == user
    own = put(tmp_path / "own/certbroker/certbroker.toml")
    assert find(None, {**environ, "XDG_CONFIG_HOME": f"{tmp_path}/own"}, cwd) == own
    here = put(cwd / "certbroker.toml")
    assert find(None, environ, cwd) == here
    said = put(home / "said.toml")
    assert find(None, {**environ, "CERTBROKER_CONFIG": "~/said.toml"}, cwd) == said
    option = put(cwd / "x.toml")
    assert find("x.toml", {**environ, "CERTBROKER_CONFIG": "~/said.toml"}, cwd) == option


def test_a_file_that_was_named_is_not_looked_for_elsewhere(tmp_path: Path) -> None:
    put(tmp_path / "certbroker.toml")
    with pytest.raises(UsageError, match=r"--config names x\.toml, which is no file"):
        find("x.toml", {"HOME": str(tmp_path)}, tmp_path)
    with pytest.raises(UsageError, match=r"\$CERTBROKER_CONFIG names y\.toml, which is no file"):
        find(None, {"HOME": str(tmp_path), "CERTBROKER_CONFIG": "y.toml"}, tmp_path)


def test_without_a_file_it_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        find(None, {"HOME": str(tmp_path / "home"), "XDG_CONFIG_DIRS": "/nowhere"}, tmp_path / "work")
    assert str(caught.value) == (
        "there is no certbroker.toml; looked at ./certbroker.toml, ~/.config/certbroker/certbroker.toml, "
        "/nowhere/certbroker/certbroker.toml, /etc/certbroker/certbroker.toml"
    )
    assert caught.value.hint == "certbroker init NAME… writes one, or name yours: --config FILE"


def test_the_vault_key_lies_outside_the_state_folder() -> None:
    environ = {"HOME": "/home/me"}
    assert state_folder(environ) == Path("/home/me/.local/state/certbroker")
    assert default_store(environ) == "sqlite:////home/me/.local/state/certbroker/store.db"
    assert default_vault(environ) == "file:/home/me/.config/certbroker/vault.key"
    own = {**environ, "XDG_STATE_HOME": "/s", "XDG_CONFIG_HOME": "/c"}
    assert default_store(own) == "sqlite:////s/certbroker/store.db"
    assert default_vault(own) == "file:/c/certbroker/vault.key"
    assert config_folder({**environ, "XDG_CONFIG_HOME": "relative"}) == Path("/home/me/.config/certbroker")
