"""Commands that the stories do not meet: init, where, export, vault, providers, check --write."""

from __future__ import annotations

import base64
import io
import json
import stat
import tomllib
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.serialization import pkcs12

from certbroker import keys
from certbroker.cli import main
from certbroker.secret import Secret
from tests.scenarios.town import Town


def test_init_writes_a_complete_file_and_makes_store_and_vault_key_once(place: Town) -> None:
    fresh = place.folder.parent / "fresh"
    fresh.mkdir()
    place.network.forbidden = True  # it says what it could not find out, and goes on
    argv = [
        "init",
        "example.com",
        "*.example.com",
        "--solver",
        "dnsimple",
        "--target",
        "fastly",
        "--target",
        "fly:site-blue",
    ]
    ran = place.run(*argv, folder=fresh)
    assert "looked" in ran.out
    assert "Put the vault key into your password manager now" in ran.out
    written = tomllib.loads((fresh / "certbroker.toml").read_text())
    assert written["target"]["fastly"]["type"] == "fastly"
    assert "fly tokens create deploy -a site-blue" in (fresh / ".env.example").read_text()
    assert stat.S_IMODE((fresh / ".config" / "certbroker" / "vault.key").stat().st_mode) == 0o600
    assert stat.S_IMODE((fresh / ".local" / "state" / "certbroker" / "store.db").stat().st_mode) == 0o600
    assert "there is a file already" in place.run(*argv, folder=fresh, ends=2).err
    assert "nothing was made" in place.run("init", folder=fresh).out


def test_init_makes_no_second_vault_key_for_a_store_that_has_sealed_keys(place: Town) -> None:
    place.run("renew")
    (place.folder / "vault.key").unlink()
    ran = place.run("init", ends=2)
    assert "put the vault key back" in ran.err
    assert not (place.folder / "vault.key").exists()


def test_where_shows_file_store_vault_and_accounts(place: Town) -> None:
    place.run("renew")
    found = place.run("where", "--json").json
    assert found["file"] == str(place.folder / "certbroker.toml")
    assert found["store"].endswith("store.db")
    assert found["accounts"][0]["issuer"] == "sandbox"


@pytest.mark.parametrize("kind", ["pem", "pkcs12", "kubernetes"])
def test_the_owner_gets_his_key_in_the_form_he_asks_for(place: Town, kind: str) -> None:
    place.run("renew")
    place.run("export", "main", "--format", kind, "--output", "out")
    path = place.folder / "out"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    content = path.read_bytes()
    if kind == "pkcs12":
        key, leaf, others = pkcs12.load_key_and_certificates(content, None)
        assert key is not None
        assert leaf is not None
        assert others
        return
    text = content.decode()
    if kind == "kubernetes":
        data = dict(line.strip().split(": ", 1) for line in text.splitlines() if ": " in line)
        text = base64.b64decode(data["tls.crt"]).decode() + base64.b64decode(data["tls.key"]).decode()
    key_text = text[text.index("-----BEGIN PRIVATE KEY") :]
    keys.check_pair(text, Secret(key_text), ("example.com", "*.example.com"), place.clock.now())


def test_export_all_writes_a_folder_a_certificate_and_overwrites_nothing(place: Town) -> None:
    place.run("renew")
    place.run("export", "--all", "keys")
    assert (place.folder / "keys" / "main" / "fullchain.pem").exists()
    assert "exists already" in place.run("export", "--all", "keys", ends=2).err


def test_a_new_vault_key_opens_everything_and_the_old_one_nothing(place: Town) -> None:
    place.run("renew")
    old = (place.folder / "vault.key").read_text()
    place.run("vault", "rotate")
    assert "opens 2 of 2" in place.run("vault", "check").out
    new = (place.folder / "vault.key").read_text()
    (place.folder / "vault.key").write_text(old)
    assert place.run("vault", "check", ends=1).out
    (place.folder / "vault.key").write_text(new)
    place.later(hours=1)
    place.run("issue", "main")


def test_check_write_leaves_nothing_behind(place: Town) -> None:
    before = json.dumps(place.house.dnsimple.zones["example.com"].records, default=str)
    place.run("check", "--write")
    assert json.dumps(place.house.dnsimple.zones["example.com"].records, default=str) == before
    assert place.platform("fastly").serving() == {}


def test_explain_knows_certificates_targets_solvers_and_issuers(place: Town) -> None:
    place.run("renew")
    place.run("check")
    for name in ("main", "fastly", "dnsimple", "sandbox"):
        assert name in place.run("explain", name).out
    assert "nothing in the file is called nobody" in place.run("explain", "nobody", ends=2).err


def test_plan_says_with_its_exit_code_that_something_would_change(place: Town) -> None:
    place.run("plan", "--exit-code", ends=4)
    place.run("plan")
    place.run("renew")
    place.run("plan", "--exit-code")
    found = place.run("plan", "--json").json
    assert (found["orders"], found["pushes"]) == (0, 0)


def test_an_order_by_hand_that_comes_too_early_is_told_and_not_called_nothing_due(place: Town) -> None:
    place.run("renew")
    ran = place.run("issue", "main", "-m", "again")
    assert "asked for by hand: again; ordered only a moment ago; not before Mon 23 Nov 09:05 UTC" in ran.out
    assert "1 too early to order" in ran.out
    assert "nothing due" not in ran.out
    assert place.orders == 1


def test_a_name_that_is_not_there_is_told_with_the_nearest(place: Town) -> None:
    assert "did you mean main?" in place.run("issue", "mian", ends=2).err
    assert "did you mean fastly?" in place.run("push", "--target", "fastl", ends=2).err
    assert place.run("export", "nobody", ends=2).err
    assert place.run("frobnicate", ends=2).err


class Terminal(io.StringIO):
    """A stdout that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_on_a_terminal_there_are_signs_and_a_table(place: Town) -> None:
    place.run("renew")
    screen = Terminal()
    assert main(["status"], replace(place.world(), stdout=screen)) == 0
    assert "✓" in screen.getvalue()
    assert "\x1b[32m" in screen.getvalue()
    place.environ["NO_COLOR"] = "1"
    plain = Terminal()
    assert main(["status"], replace(place.world(), stdout=plain)) == 0
    assert "\x1b[" not in plain.getvalue()
    assert main(["export", "main"], replace(place.world(), stdout=Terminal())) == 2
