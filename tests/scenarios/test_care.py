"""From people who run it: nothing foreign is touched, nothing is lost, and every mistake in the file is told."""

from __future__ import annotations

import shutil
import sqlite3

import pytest

from certbroker import keys
from certbroker.model import KeyType
from tests.scenarios.town import Town


def test_a_foreign_key_and_certificate_in_the_account_survive_pruning(place: Town) -> None:
    fastly = place.platform("fastly")
    chain, key = place.ca.issue_directly("shop.example.com")
    fastly.add_foreign(chain, key, name="the shop's own")
    fastly.add_key(keys.generate(KeyType.RSA2048), name="for next year")  # nothing uses it
    theirs, their_key = place.ca.issue_directly("example.com", "*.example.com")
    another = fastly.add_foreign(theirs, their_key, name="certbroker/89abcdef/main/0123456789ab")
    foreign = {**fastly.estate.keys}
    place.run("renew")
    place.later(hours=2)
    place.run("issue", "main")
    place.later(days=2)
    for _ in range(3):
        place.later(hours=25)
        place.run("renew", ends=None)
    names = {row["id"]: row["name"] for row in fastly.certificate_names()}
    assert "the shop's own" in names.values()
    assert another in names, "another store's are as foreign as anybody's"
    with place.store() as store:
        ours = [name for name in names.values() if name and name.startswith(f"certbroker/{store.id}/")]
    assert len(ours) == 1, "ours that nothing uses are removed"
    assert len(foreign) == 3
    assert foreign.keys() <= fastly.estate.keys.keys()


def test_a_typo_is_told_with_its_line_and_nothing_is_touched(place: Town) -> None:
    place.edit('targets = ["fastly"', 'targts = ["fastly"')
    place.edit("agree_to_terms = true", 'agree_to_terms = "yes"')
    contacts = len(place.network.contacts)
    for command in (["renew"], ["status"], ["config", "check"], ["plan"]):
        ran = place.run(*command, ends=2)
        assert "did you mean targets" in ran.err
        assert "agree_to_terms" in ran.err
        assert "certbroker.toml:" in ran.err
    assert len(place.network.contacts) == contacts


def test_a_rehearsal_never_reaches_an_edge(place: Town) -> None:
    place.edit(
        "[solver.dnsimple]",
        f'[issuer.rehearsal]\ndirectory = "{place.house.urls["ca"]}/dir"\nroots = "roots.pem"\nagree_to_terms = true\nstaging = true\n\n[solver.dnsimple]',
    )
    ran = place.run("issue", "main", "--staging")
    assert "a rehearsal: never pushed" in ran.out
    assert set(place.pushes().values()) == {0}
    place.later(hours=1)
    place.run("renew")
    with place.store() as store:
        wanted = [v.wanted for v in store.variants("main").values() if v.wanted]
    assert [version.rehearsal for version in wanted] == [False]


def test_a_chain_that_the_system_does_not_trust_goes_only_where_the_owner_said_so(place: Town) -> None:
    place.edit("accept_untrusted = true\n", "")
    ran = place.run("renew", ends=1)
    assert "not trusted by the system's roots" in ran.err
    assert set(place.pushes().values()) == {0}


def test_a_laptop_without_the_production_store_does_not_order_again(place: Town) -> None:
    place.run("renew")
    laptop = place.folder.parent / "laptop"
    shutil.copytree(place.folder, laptop, ignore=shutil.ignore_patterns("state", "vault.key", "served"))
    text = (laptop / "certbroker.toml").read_text().replace(f"{place.folder}/state", f"{laptop}/state")
    (laptop / "certbroker.toml").write_text(text)
    place.run("init", folder=laptop)
    orders, pushes = place.orders, place.pushes()
    ran = place.run("renew", folder=laptop, ends=1)
    with place.store() as store:
        assert store.id in ran.err
    assert "hint:" in ran.err
    assert (place.orders, place.pushes()) == (orders, pushes)


def test_an_issuer_that_changes_is_due_at_once_and_a_profile_waits(place: Town) -> None:
    place.run("renew")
    place.later(hours=1)
    place.edit("[issuer.sandbox]", '[issuer.sandbox]\nprofile = "shortlived"')
    place.run("renew")
    assert len(place.ca.issued) == 1
    assert "becomes shortlived at the next renewal" in place.run("plan").out
    place.edit('issuer = "sandbox"', 'issuer = "other"')
    place.edit("[issuer.sandbox]", "[issuer.other]")
    assert "issued by sandbox, the file says other" in place.run("plan").out
    place.run("renew")
    assert len(place.ca.issued) == 2


def test_a_key_type_that_changes_is_due_at_once(place: Town) -> None:
    place.run("renew")
    place.later(hours=1)
    place.edit("[certificate.main]", '[certificate.main]\nkeys = ["ecdsa-p384"]')
    place.run("renew")
    assert len(place.ca.issued) == 2


def test_what_only_reads_needs_no_secret_and_no_network(place: Town) -> None:
    place.run("renew")
    place.environ = {}
    (place.folder / "vault.key").unlink()
    contacts = len(place.network.contacts)
    for command in (
        ["status"],
        ["plan", "--offline"],
        ["history"],
        ["explain", "main"],
        ["where"],
        ["config", "check"],
    ):
        place.run(*command)
    assert len(place.network.contacts) == contacts


def test_one_lapsed_vanity_domain_does_not_hold_up_the_others(place: Town) -> None:
    vanity = '\n[certificate.vanity]\neach = ["good.example.com", "lapsed.example.net"]\nnames = ["{each}"]\ntargets = ["fly-blue"]\n'
    place.configure(certificates=vanity)
    ran = place.run("renew", ends=1)
    assert "lapsed.example.net" in ran.err
    with place.store() as store:
        assert [row.phase.value for row in store.deployments("good.example.com")] == ["committed"]


def test_a_target_may_serve_a_subset_of_the_names(place: Town) -> None:
    some = '\n[certificate.main]\nnames = ["example.com", "*.example.com"]\ntargets = [{ target = "fastly", names = ["example.com"] }, "fly-blue"]\n'
    place.configure(certificates=some)
    place.run("renew")
    with place.store() as store:
        served = {(row.target, row.name) for row in store.deployments("main")}
    assert served == {("fastly", "example.com"), ("fly-blue", "example.com"), ("fly-blue", "*.example.com")}


def test_the_machine_dies_and_nothing_is_ordered_or_pushed(place: Town) -> None:
    place.run("renew")
    place.run("backup", "backup.db")
    pushes = place.pushes()
    again = place.folder.parent / "again"
    again.mkdir()
    for name in ("certbroker.toml", "roots.pem", "vault.key", "backup.db"):
        shutil.copy2(place.folder / name, again / name)
    text = (again / "certbroker.toml").read_text().replace(f"{place.folder}/state", f"{again}/state")
    (again / "certbroker.toml").write_text(text)
    place.run("restore", "backup.db", folder=again)
    place.run("vault", "check", folder=again)
    place.later(hours=1)
    ran = place.run("renew", folder=again, host="broker-9")
    assert place.orders == 1
    assert place.pushes() == pushes
    assert "nothing due" in ran.out or "served as wanted" in ran.out


def test_what_leaves_the_file_is_an_orphan_and_no_nightly_error(place: Town) -> None:
    place.run("renew")
    place.configure(certificates=place.certificate("other", names=("other.example.com",), targets=("fly-blue",)))
    place.run("renew")
    pushes = place.pushes()
    out = place.run("status").out
    assert "certificate main: it left the file" in out
    assert "fly-green keeps v1 until" in out
    for _ in range(30):
        place.later(hours=1)
        place.run("renew")
    assert place.pushes() == pushes


def test_an_older_program_refuses_a_newer_store(place: Town) -> None:
    place.run("renew")
    path = place.folder / "state" / "store.db"
    with sqlite3.connect(path) as db:
        db.execute("update alembic_version set version_num = '9999'")
    db.close()
    before = path.read_bytes()
    ran = place.run("renew", ends=2)
    assert "newer" in ran.err
    assert "hint:" in ran.err
    assert path.read_bytes() == before


@pytest.mark.parametrize("command", [["renew"], ["status"], ["plan"]])
def test_a_store_that_is_not_there_is_not_made_by_the_way(place: Town, command: list[str]) -> None:
    shutil.rmtree(place.folder / "state")
    ran = place.run(*command, ends=2)
    assert "there is no store" in ran.err
    assert not (place.folder / "state").exists()


def test_a_wrong_vault_key_stops_before_anything_is_touched(place: Town) -> None:
    place.run("renew")
    place.later(hours=1)
    (place.folder / "vault.key").unlink()
    ran = place.run("issue", "main", ends=2)
    assert "vault key" in ran.err
    other = place.folder.parent / "other"
    other.mkdir()
    shutil.copy2(place.folder / "certbroker.toml", other / "certbroker.toml")
    shutil.copy2(place.folder / "roots.pem", other / "roots.pem")
    text = (other / "certbroker.toml").read_text().replace(f"{place.folder}/state", f"{other}/state")
    (other / "certbroker.toml").write_text(text)
    place.run("init", folder=other)
    shutil.copy2(other / "vault.key", place.folder / "vault.key")
    orders = place.orders
    ran = place.run("issue", "main", ends=2)
    assert "hint:" in ran.err
    assert place.orders == orders


def test_a_certificate_that_is_not_ours_is_replaced_only_when_the_owner_says_so(place: Town) -> None:
    chain, key = place.ca.issue_directly("example.com", "*.example.com")
    place.platform("fastly").add_foreign(chain, key, name="by hand", activate=("example.com", "*.example.com"))
    place.configure(certificates=place.certificate(targets=("fastly",)))
    ran = place.run("renew", ends=3)
    assert "serves a certificate that is not ours" in ran.err
    assert "certbroker renew main --yes" in ran.err
    assert (place.orders, place.pushes()["fastly"]) == (0, 0)
    place.later(hours=1)
    place.run("renew", ends=3)
    assert "serves a certificate that is not ours" in place.run("status", ends=3).out
    place.run("renew", "--yes")
    assert place.orders == 1
    assert "not ours" not in place.run("status").out
    place.later(days=61)
    place.run("renew")
    assert len(place.ca.issued) == 2, "a renewal of what stands here must never ask"
