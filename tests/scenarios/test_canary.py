"""No byte of a key or a token in anything that is written down, shown or handed on: every command, at the highest verbosity.

Exempt are what the owner asks for (`export`, the `files` target's key file, the vault key's own file) and what is sent to platforms.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from itertools import cycle
from pathlib import Path

import click
import pytest

from certbroker import keys
from certbroker.cli.app import app
from certbroker.model import KeyType
from certbroker.testkit.simulator import Fault, Request, Response, Simulator
from certbroker.vault import Vault
from tests.alerts.ears import mail, web
from tests.scenarios.canary import Traces, Watch, traces_of_key, traces_of_number, traces_of_token, watching
from tests.scenarios.layouts import LAYOUTS, SEALING
from tests.scenarios.town import Town, town
from tests.telemetry.receiver import closed, receiver

HOOK = """\
import json, os, sys
from pathlib import Path

import dns.query, dns.update

told = os.environ
with Path(told["HOOK_LOG"]).open("a") as log:
    log.write(json.dumps([sys.argv, dict(told)]) + "\\n")
host, _, port = told["HOOK_SERVER"].rpartition(":")
update = dns.update.UpdateMessage(told["CERTBROKER_ZONE"])
name = told["CERTBROKER_NAME"] + "."
if sys.argv[1] == "present":
    update.add(name, 60, "TXT", f'"{told["CERTBROKER_VALUE"]}"')
else:
    update.delete(name, "TXT", f'"{told["CERTBROKER_VALUE"]}"')
dns.query.tcp(update, host, port=int(port), timeout=10)
print(json.dumps(dict(told)))
sys.exit(told.get("HOOK_FAILS") == "yes")
"""

RELOAD = """\
import json, os, sys
from pathlib import Path

print(json.dumps([sys.argv, dict(os.environ)]))
print(Path(os.environ["CERTBROKER_FOLDER"], "privkey.pem").read_text().replace("\\n", " "))
sys.exit(Path(sys.argv[1]).exists())
"""

EXEMPT = ("served", "exported", "vault.key", "roots.pem", "hook.py", "reload.py", "hook.log")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Town]:
    """A town with an exec solver, a Lexicon solver and a reload command, which all have much to tell."""
    heard = tmp_path / "town" / "heard.log"
    with (
        web(heard) as ear,
        receiver(tmp_path / "town" / "heard.otlp") as collector,
        mail(heard) as office,
        town(tmp_path / "town", zones=("example.com", "example.net"), init=False) as made,
    ):
        (made.folder / "hook.py").write_text(HOOK)
        (made.folder / "reload.py").write_text(RELOAD)
        made.environ |= {
            "HOOK_SERVER": made.house.dns.address,
            "HOOK_LOG": str(made.folder / "hook.log"),
            "HOOK_KEY": "hook_Qm9yaXMgYW5kIEFubmEgd2VudCB1cCB0aGUgaGlsbA",
            "LEXICON_KEY": "lex_dGhlIHF1aWNrIGJyb3duIGZveCBqdW1wcyBvdmVy",
            "PAGER_URL": f"{ear.url}/canary_cGFnZXIgb2YgYSBjYW5hcnkgaW4gYSBtaW5l",
            "SLACK_URL": f"{ear.url}/canary_c2xhY2sgb2YgYSBjYW5hcnkgaW4gYSBtaW5l",
            "SMTP_URL": office.url.replace("//", f"//broker:{MAIL_PASSWORD}@"),
            "HEARTBEAT_URL": f"{ear.url}/canary_aGVhcnQgb2YgYSBjYW5hcnkgaW4gYSBtaW5l",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url.replace("//", f"//broker:{TRACES_PASSWORD}@"),
            "OTEL_EXPORTER_OTLP_HEADERS": "x-honeycomb-team=hcaik_dHJhY2VzIG9mIGEgY2FuYXJ5IGluIGEgbWluZQ",
            "DASHBOARD_TOKEN": "dash_VGhlIHBhZ2VzIG9mIGEgY2FuYXJ5IGluIGEgbWluZQ",
            "EAB_HMAC": "eab_QSBjYW5hcnkgaW4gYSBjb2FsIG1pbmUgc2luZ3MgcXVpZXRseQ",
        }
        made.ca.books.eab_keys["kid-1"] = made.environ["EAB_HMAC"]
        made.configure(extra=_extra(made))
        reload = json.dumps([sys.executable, str(made.folder / "reload.py"), str(made.folder / "reload-fails")])
        made.edit('type = "files"', f'type = "files"\nreload = {reload}')
        yield made


def _extra(place: Town) -> str:
    hook = json.dumps([sys.executable, str(place.folder / "hook.py")])
    address = place.house.dns.address
    return f"""
[solver.hook]
type = "exec"
program = {hook}
environ = ["HOOK_SERVER", "HOOK_LOG", "HOOK_FAILS"]
secrets = {{ HOOK_KEY = {{ env = "HOOK_KEY" }} }}
zones = ["example.net"]
nameservers = ["{address}"]

[issuer.rehearsal]
directory = "{place.house.urls["ca"]}/dir"
roots = "roots.pem"
agree_to_terms = true
staging = true

[issuer.bound]
directory = "{place.house.urls["ca"]}/dir"
roots = "roots.pem"
agree_to_terms = true
eab = {{ kid = "kid-1", hmac = {{ env = "EAB_HMAC" }} }}

[alerts]
page = {{ webhook = {{ env = "PAGER_URL" }} }}
tell = [
  {{ slack = {{ env = "SLACK_URL" }} }},
  {{ smtp = {{ env = "SMTP_URL" }}, from = "broker@example.com", to = "ops@example.com" }},
]
heartbeat = {{ env = "HEARTBEAT_URL" }}

[dashboard]
token = {{ env = "DASHBOARD_TOKEN" }}

[metrics]
textfile = "certbroker.prom"

[watch]
inventory = "inventory.json"

[certificate.hooked]
names = ["www.example.net"]
keys = ["ecdsa-p384", "ecdsa-p256"]
targets = ["folder", "fly-green"]
"""


WAYS = ("--page", "webhook=env:PAGER_URL", "--tell", "slack=env:SLACK_URL", "--heartbeat", "env:HEARTBEAT_URL")

MANY = """
[solver.many]
type = "lexicon"
provider = "nosuchservice"
options = { auth_token = { env = "LEXICON_KEY" } }
zones = ["example.org"]
"""


class Talk:
    """Runs command lines and watches what they give away; every second one logs as JSON."""

    def __init__(self, place: Town, watch: Watch) -> None:
        self._place = place
        self._watch = watch
        self.spoken: set[str] = set()
        self._formats = cycle(("text", "json"))

    def run(self, *argv: str, ends: int | None = None, exempt: bool = False, folder: Path | None = None) -> str:
        """`exempt`: its answer is a key, on purpose. The story never is."""
        ran = self._place.run("-vv", "--log-format", next(self._formats), *argv, ends=ends, folder=folder)
        words = " ".join(argv)
        if not exempt:
            self._watch.add(f"stdout of {words}", ran.out)
        self._watch.add(f"stderr of {words}", ran.err)
        self.spoken |= {command for command in commands() if f"{words} ".startswith(f"{command} ")}
        return ran.out


def commands() -> frozenset[str]:
    """Every command there is, by its words."""

    def leaves(group: click.Group, before: str) -> Iterator[str]:
        for name, command in group.commands.items():
            if isinstance(command, click.Group):
                yield from leaves(command, f"{before}{name} ")
            else:
                yield f"{before}{name}"

    return frozenset(leaves(app, ""))


def secrets_of(place: Town, tokens: Iterable[tuple[str, str]]) -> Traces:
    """Every key in the store, every key that a platform was sent, the vault key, and these tokens."""
    found: Traces = {}
    sent = [body for kind in place.house.platforms for r in place.platform(kind).requests for body in _texts(r.json())]
    keys = {text for text in sent if "BEGIN PRIVATE KEY" in text}
    line = (place.folder / "vault.key").read_text()
    for each in line.strip().splitlines():
        found |= traces_of_token(each.split()[2], "the vault key")
    vault = Vault.open("file:vault.key", {}, place.folder)
    with place.store() as store:
        for kind, owner, box in store.boxes():
            text = vault.unseal(store.id, kind, owner, box).reveal()
            if kind == "account":
                number = json.loads(text)["d"]
                found |= traces_of_token(number, f"the key of account {owner}")
                found |= traces_of_number(_number(number), 32, f"the key of account {owner}")
            else:
                keys.add(text)
    assert keys, "no key was ever made: nothing was looked for"
    for at, key in enumerate(sorted(keys)):
        found |= traces_of_key(key, f"private key {at}")
    for what, token in tokens:
        found |= traces_of_token(token, what)
    return found


def _number(base64url: str) -> int:
    import base64

    return int.from_bytes(base64.urlsafe_b64decode(base64url + "=" * (-len(base64url) % 4)), "big")


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _texts(inner)


def account_numbers(place: Town) -> list[tuple[str, str]]:
    """The private number of every account key that the store holds now."""
    vault = Vault.open("file:vault.key", {}, place.folder)
    with place.store() as store:
        keys = [json.loads(vault.unseal(store.id, *of).reveal()) for of in store.boxes() if of[0] == "account"]
    return [("an account key of before", key["d"]) for key in keys]


MAIL_PASSWORD = "mail_bGV0dGVycyBvZiBhIGNhbmFyeSBpbiBhIG1pbmU"
TRACES_PASSWORD = "otlp_c3BhbnMgb2YgYSBjYW5hcnkgaW4gYSBjb2FsIG1pbmU"


def tokens_of(place: Town) -> list[tuple[str, str]]:
    documented = ("HOOK_SERVER", "HOOK_LOG", "HOOK_FAILS", "SMTP_URL", "OTEL_EXPORTER_OTLP_ENDPOINT")
    in_urls = [("the password for mail", MAIL_PASSWORD), ("the password for traces", TRACES_PASSWORD)]
    return in_urls + [(f"the token ${name}", value) for name, value in place.environ.items() if name not in documented]


def judge(place: Town, watch: Watch, tokens: list[tuple[str, str]]) -> None:
    """Look at everything; the hook may know its own secret, which the file gives it."""
    watch.add_files(place.folder, but=EXEMPT)
    hook = Watch()
    if (place.folder / "hook.log").exists():
        hook.add("what the hook was told", (place.folder / "hook.log").read_bytes())
        assert place.environ["HOOK_KEY"] in (place.folder / "hook.log").read_text()
    watch.children = [line.replace(place.environ["HOOK_KEY"], "") for line in watch.children]
    all_of_them = secrets_of(place, tokens)
    others = {piece: what for piece, what in all_of_them.items() if "HOOK_KEY" not in what}
    assert watch.leaks(all_of_them) + hook.leaks(others) == []


def test_the_watch_sees_a_leak_in_every_dress(place: Town) -> None:
    """Or it would prove nothing."""
    place.run("init")
    place.run("renew", "main")
    key = place.run("export", "main").out
    key = key[key.index("-----BEGIN PRIVATE") :]
    traces = secrets_of(place, [])
    number = _private_number(key)
    for dress in (
        key,
        key.replace("\n", ""),
        key.replace("\n", "\\n"),
        number.hex(),
        number.hex(":").upper().lower(),
        str(int.from_bytes(number, "big")),
    ):
        watch = Watch()
        watch.add("here", f"before {dress} after")
        assert watch.leaks(traces), dress
    watch = Watch()
    watch.add("here", b"\x00" + number + b"\x00")
    watch.add(
        "there", json.dumps(place.ca.roots_pem) + (place.folder / "served" / "main" / "fullchain.pem").read_text()
    )
    assert {leak.rpartition(" in ")[2] for leak in watch.leaks(traces)} == {"here"}


def _private_number(pem: str) -> bytes:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = serialization.load_pem_private_key(pem.encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key.private_numbers().private_value.to_bytes(key.key_size // 8, "big")


def test_every_command_gives_nothing_away(place: Town) -> None:
    with (place.folder / "certbroker.toml").open("a") as file:
        file.write(MANY)
    with watching() as watch:
        talk = Talk(place, watch)
        for command in sorted(commands()):
            talk.run(*command.split(), "--help", ends=0)
        talk.spoken.clear()
        talk.run("init", ends=0)
        talk.run("where")
        talk.run("config", "check", "--secrets", ends=0)
        talk.run("config", "schema")
        talk.run("providers")
        talk.run("check", "--write")
        talk.run("plan")
        talk.run("plan", "--offline", "--format", "markdown")
        talk.run("renew", ends=1)
        talk.run("renew", "--json")
        watch.add_files(place.folder, but=EXEMPT)  # with what SQLite keeps beside the store
        place.later(hours=1)
        talk.run("issue", "main", "--staging", "-m", "a rehearsal")
        talk.run("issue", "hooked")
        talk.run("push", "--yes", "--wait", "1s")
        talk.run("check", "--json")
        talk.run("challenges", "main", "--json")
        talk.run("probe", "main", "--json")
        talk.run("challenges", "main")
        talk.run("caa", "main")
        talk.run("who-owns", "main", ends=None)
        talk.run("drift")
        talk.run("ready")
        talk.run("takeover", "main", "--all", "--retire")
        talk.run("handback", "main", "--target", "fly-green", "--all", "--json")
        talk.run("handback", "main", "--target", "fly-green", "--undo")
        talk.run("drift", "--heal", "--yes", "--json")
        talk.run("status", "--json")
        talk.run("history", "--json")
        talk.run("explain", "main", "--json")
        talk.run("explain", "dnsimple")
        talk.run("dashboard", "--export", "pages", ends=0)
        assert "certbroker_certificate_target_agrees" in (place.folder / "certbroker.prom").read_text()
        talk.run("inventory", ends=0)
        talk.run("watch", "inventory.json", "--state", "watch.json", *WAYS, ends=None)
        talk.run("watch", "inventory.json", "--test", *WAYS, ends=0)
        talk.run("alerts", "show", ends=0)
        talk.run("alerts", "test", ends=0)
        talk.run("mute", "main", "--for", "1d", "-m", "known", ends=0)
        talk.run("rollback", "hooked", "--json")
        talk.run("forget", "--host", "broker-1", "--json", ends=0)
        talk.run("forget", "main", "--remove", ends=2)
        talk.run("export", "main", exempt=True, ends=0)
        talk.run("export", "hooked", "--key-type", "ecdsa-p384", "--format", "kubernetes", exempt=True, ends=0)
        talk.run("export", "main", "--format", "pkcs12", "-o", "exported/main.p12", ends=0)
        talk.run("export", "--all", "exported/all", ends=0)
        talk.run("export", "main", "--format", "pkcs12", ends=2)
        for words in _imports(place):
            talk.run("import", "main", *words)
        assert "imported from pkcs12" in talk.run("history", "main")
        talk.run("account", "make", "bound", ends=0)
        numbers = account_numbers(place)
        talk.run("account", "show", ends=0)
        talk.run("account", "show", "--offline", "--json", ends=0)
        talk.run("account", "rollover", "bound", ends=0)
        talk.run("account", "import", "bound", "exported/main.p12", ends=2)
        talk.run("account", "import", "bound", "exported/all/main/privkey.pem")
        talk.run("account", "deactivate", "bound", "--yes", ends=0)
        talk.run("backup", "backup.db", ends=0)
        talk.run("restore", "backup.db", ends=2)
        talk.run("vault", "check", "--json")
        talk.run("revoke", "hooked", "--reason", "superseded", "--yes", "-m", "to see what it says")
        before = (place.folder / "vault.key").read_text()
        talk.run("vault", "rotate", ends=0)
        brought = keys.generate(KeyType.P256).reveal()
        (place.folder / "exported" / "account.key").write_text(brought)
        talk.run("account", "show", "--json")
        talk.run("account", "rollover", "sandbox", ends=0)
        talk.run("account", "deactivate", "sandbox", "--yes", ends=0)
        talk.run("account", "import", "sandbox", "exported/account.key", ends=2)  # the CA does not know it
        talk.run("account", "make", "sandbox", ends=0)
        talk.run("demo")
        talk.run("sandbox", "--seconds", "0.2", "--folder", "exported/sandbox", ends=0)
        assert talk.spoken == commands()
        assert b"certbroker.targets_served" in (place.folder / "heard.otlp").read_bytes()
        assert any(b'"kind": "attempt"' in text for texts in watch.given.values() for text in texts)
        assert "This is a test of certbroker's alerts" in (place.folder / "heard.log").read_text()
        tokens = [*tokens_of(place), *numbers, ("the old vault key", before.split()[2])]
        env = (place.folder / "exported" / "sandbox" / "sandbox.env").read_text()
        tokens += [("a token of the sandbox", line.split("'")[1]) for line in env.splitlines()]
        judge(place, watch, tokens)
        assert watch.leaks(traces_of_key(brought, "the key of the account that was brought along")) == []


def _imports(place: Town) -> Iterator[list[str]]:
    """Pairs in every form, and how each of them may be broken; the last one is taken."""
    place.later(hours=1)
    place.environ["PHRASE"] = "phrase_Y29ycmVjdCBob3JzZSBiYXR0ZXJ5IHN0YXBsZQ"
    chain, key = place.ca.issue_directly("example.com", "*.example.com")
    home = place.folder / "exported"
    for at, (_, writer) in enumerate(LAYOUTS.values()):
        yield [f"exported/{at}/{name}" for name in writer(home / str(at), chain, key)]
    text = key.reveal()
    for name, broken in (
        ("cut.pem", chain + text[:150]),
        ("bent.pem", chain + text[:60] + text[60:100][::-1] + text[100:]),
        ("bare.json", f'{{"kind": "Secret", "data": {{"tls.key": "{text}"'),
        ("bare.yaml", f"kind: Secret\ndata: [\n{text}"),
        ("plain.json", json.dumps({"kind": "Secret", "type": "kubernetes.io/tls", "data": {"tls.key": text}})),
    ):
        (home / name).write_text(broken)
        yield [f"exported/{name}"]
    for sealing in SEALING:
        words = [f"exported/{name}" for name in sealing(home, chain, key, passphrase=place.environ["PHRASE"].encode())]
        yield words
        yield [*words, "--passphrase-env", "HOOK_KEY"]
        yield [*words, "--passphrase-env", "PHRASE", "--yes"]


class Echo(Fault):
    """Says back what it was sent, headers and body, as some services do when they are cross."""

    def __init__(self, status: int, style: str, *, reads: bool) -> None:
        super().__init__(Response(status), times=10**6, matches=self._hear)
        self._status = status
        self._style = style
        self._reads = reads

    def _hear(self, request: Request) -> bool:
        self.then = self._say(request)
        return request.write or self._reads

    def _say(self, request: Request) -> Response:
        body = request.body.decode("utf-8", "replace")
        token = request.headers.get("Authorization") or request.headers.get("Fastly-Key") or ""
        match self._style:
            case "html":
                return Response.html(self._status, f"<html>{token} {body}</html>")
            case "near":  # what a parser quotes: the middle of the key, without its first line
                middle = body[body.find("PRIVATE KEY-----") + 24 :] if "PRIVATE KEY" in body else body
                said = f"invalid value near '{middle}'"
            case _:
                said = f"{token} {body}"
        shape = {"message": said, "error": said, "detail": said, "errors": [{"title": "no", "detail": said}]}
        return Response.of(self._status, shape, type=said[:100].replace("\n", " ").replace("\r", " "))


@pytest.mark.parametrize(("status", "style"), [(401, "plain"), (422, "near"), (500, "html")])
def test_services_that_say_back_what_they_were_sent_make_us_repeat_nothing(
    place: Town, status: int, style: str
) -> None:
    with watching() as watch:
        talk = Talk(place, watch)
        talk.run("init", ends=0)
        platforms = [place.platform(kind) for kind in place.house.platforms]
        for round_of in ([place.ca, place.house.dnsimple], platforms):
            services: list[Simulator] = list(round_of)
            for service in services:
                service.faults.append(Echo(status, style, reads=status == 401))
            talk.run("check", "--write")
            talk.run("renew", "main", "hooked")
            talk.run("plan")
            for service in services:
                service.faults.clear()
            place.later(hours=3)
        (place.folder / "reload-fails").touch()
        place.environ["HOOK_FAILS"] = "yes"
        talk.run("issue", "hooked")
        talk.run("push")
        talk.run("status")
        talk.run("explain", "main")
        talk.run("history", "--limit", "500")
        judge(place, watch, tokens_of(place))


def test_wrong_and_missing_tokens_and_a_dead_line_give_nothing_away(place: Town) -> None:
    with watching() as watch:
        talk = Talk(place, watch)
        talk.run("init", ends=0)
        talk.run("renew", "main", "hooked", ends=0)
        right = dict(place.environ)
        tokens = tokens_of(place)
        for name in place.house.secrets:
            place.environ[name] = (
                f"FlyV1 fm2_{'wrong'}{name.lower().replace('_', '')}AbCdEfGhIjKlMnOpQrSt,fm2_second{name.lower()}0123456789"
            )
        tokens += tokens_of(place)
        talk.run("check", "--write", ends=1)
        talk.run("issue", "main")
        talk.run("push", "--yes")
        place.environ = {name: value for name, value in right.items() if name.startswith("HOOK")}
        talk.run("check")
        talk.run("config", "check", "--secrets", ends=2)
        talk.run("issue", "hooked")
        place.environ = right
        place.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = closed().replace("//", f"//broker:{TRACES_PASSWORD}@")
        for outside in (place.ca, place.house.dnsimple, *map(place.platform, place.house.platforms)):
            outside.faults.append(Fault("reset", when="after", times=3, matches=lambda request: request.write))
        place.later(hours=3)
        talk.run("issue", "main")
        talk.run("renew", "main")
        talk.run("status")
        talk.run("history", "--limit", "500")
        judge(place, watch, tokens)
