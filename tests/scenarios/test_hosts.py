"""Two hosts at one store: who runs with another file for a certificate is refused, and nothing goes to and fro."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from tests.golden import golden
from tests.scenarios.test_words import told
from tests.scenarios.town import Ran, Town


@pytest.fixture
def laptop(place: Town) -> Path:
    """Another folder with the same file, store and vault; broker-1 has run with it."""
    place.configure(certificates=place.certificate(targets=("folder",)))
    place.run("renew")
    place.later(minutes=10)
    folder = place.folder.parent / "laptop"
    folder.mkdir()
    for name in ("certbroker.toml", "roots.pem", "vault.key"):
        shutil.copy2(place.folder / name, folder / name)
    return folder


def edit(folder: Path, old: str, new: str) -> None:
    path = folder / "certbroker.toml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def there(place: Town, laptop: Path, *argv: str, ends: int = 0) -> Ran:
    return place.run(*argv, ends=ends, host="laptop", folder=laptop)


OTHER = ('names = ["example.com", "*.example.com"]', 'names = ["example.com", "a.b.example.com"]')


def test_the_second_host_with_another_file_is_refused_and_nothing_goes_to_and_fro(place: Town, laptop: Path) -> None:
    edit(laptop, *OTHER)
    for _ in range(3):
        ran = there(place, laptop, "renew", ends=1)
        assert "main is left to broker-1, which runs with another file for it" in ran.err
        assert "names: here a.b.example.com, there *.example.com" in ran.err
        assert "certbroker forget --host broker-1" in ran.err
        place.run("renew")
        place.later(hours=1)
    assert place.orders == 1
    with place.store() as store:
        assert store.variants("main")
        assert store.orphans() == []


@pytest.mark.parametrize("command", [["issue", "main"], ["push", "main"], ["renew", "main"]])
def test_by_name_it_is_refused_with_nothing_touched(place: Town, laptop: Path, command: list[str]) -> None:
    edit(laptop, *OTHER)
    ran = there(place, laptop, *command, ends=2)
    assert "error: broker-1 runs with another file for main" in ran.err
    assert " now " in ran.err
    assert "hint: give both hosts the same file" in ran.err
    assert place.orders == 1


def test_a_file_that_differs_in_words_only_is_the_same_file(place: Town, laptop: Path) -> None:
    edit(laptop, "[target.folder]", "# the laptop's own remark\n[target.folder]")
    there(place, laptop, "renew")
    assert place.run("renew").code == 0
    assert place.orders == 1


def test_a_new_file_is_rolled_out_from_host_to_host(place: Town, laptop: Path) -> None:
    there(place, laptop, "renew")
    edit(laptop, *OTHER)
    there(place, laptop, "renew", ends=1)
    place.run("renew")
    edit(place.folder, *OTHER)
    place.run("renew")
    assert place.orders == 2
    there(place, laptop, "renew")
    assert "left to" not in there(place, laptop, "status").out
    assert place.orders == 2


def test_what_only_one_of_the_files_has_is_its_own_affair_and_no_orphan(place: Town, laptop: Path) -> None:
    more = place.certificate("more", names=("more.example.com",), targets=("folder",))
    text = (laptop / "certbroker.toml").read_text().partition("[certificate.main]")[0]
    (laptop / "certbroker.toml").write_text(text + more)
    (laptop / "certbroker.toml").write_text((text + more).replace("[target.fly-blue]", "[target.fly-red]"))
    with place.store() as store:
        due = {(row.kind, row.subject) for row in store.due(place.clock.now() + timedelta(days=2))}
    there(place, laptop, "renew")
    assert place.orders == 2
    place.later(hours=30)
    there(place, laptop, "renew")
    place.run("renew")
    with place.store() as store:
        assert store.orphans() == []
        left = {(row.kind, row.subject) for row in store.due(place.clock.now() + timedelta(days=2))}
        assert {each for each in due - left if each[0] != "prune"} == set(), (
            "one host does not take from the other what is due"
        )
    place.later(days=61)
    there(place, laptop, "renew")
    place.run("renew")
    assert place.orders == 4


def test_a_host_that_is_no_more_is_forgotten_or_has_no_say_after_three_missed_runs(place: Town, laptop: Path) -> None:
    edit(laptop, *OTHER)
    there(place, laptop, "renew", ends=1)
    place.later(hours=2, minutes=40)
    there(place, laptop, "renew", ends=1)
    place.later(minutes=11)
    there(place, laptop, "renew")
    assert place.orders == 2
    place.run("renew", ends=1)  # now the laptop's file is in force
    place.run("forget", "--host", "laptop")
    assert "nothing is known of a host laptop" in place.run("forget", "--host", "laptop", ends=2).err
    place.later(minutes=10)
    place.run("renew")
    assert place.orders == 3


def test_the_plan_shows_what_another_host_sees_to(place: Town, laptop: Path) -> None:
    edit(laptop, *OTHER)
    ran = there(place, laptop, "plan", ends=1)
    assert "main is left to broker-1" in ran.err
    assert "0 orders, 0 pushes" in ran.out


def test_a_revocation_is_never_refused(place: Town, laptop: Path) -> None:
    edit(laptop, *OTHER)
    there(place, laptop, "revoke", "main", "--reason", "superseded", "--yes", ends=1)
    with place.store() as store:
        assert store.versions("main")[0].revoked_at is not None
    place.later(minutes=6)
    place.run("renew")
    assert place.orders == 2


def test_the_words(place: Town, laptop: Path) -> None:
    edit(place.folder, *OTHER)
    there(place, laptop, "renew")
    words = (
        told(place, "renew", ends=1)
        + "\n"
        + told(place, "issue", "main", ends=2)
        + "\n"
        + told(place, "status", ends=1)
        + "\n"
    )
    words += told(place, "forget", "--host", "laptop") + "\n" + told(place, "renew")
    golden("words/hosts.txt", words)
