"""What a person is told about a bad file."""

from __future__ import annotations

from pathlib import Path

import pytest

from certbroker.errors import ConfigError
from tests.config.files import FAKE_TOKEN, HEAD, MAIN, only, problems, read

TEN = f"""\
[defaults]
issuer = ["letsencript"]

[issuer.letsencrypt]
agree_to_term = true

[solver.dns]
type = "dnss"
token = {{ env = "DNS_TOKEN" }}

[target.cloud]
type = "cloud"
tokn = {{ env = "CLOUD_TOKEN" }}
deadline = "60"
edges = ["192.0.2.10",
         "https://edge.example"]

[target.folder]
type = "careless"
place = "{FAKE_TOKEN}"

[certificate.main]
names = ["example.com",
         "../etc/passwd"]
keys = ["ecdsa-p265"]
targets = ["cloud", "foldr", {{ target = "folder", names = ["exmaple.com"] }}]

[alert]
page = "x"
"""


def test_ten_mistakes_are_told_at_once_each_with_its_line_and_the_nearest_word(tmp_path: Path) -> None:
    assert problems(tmp_path, TEN) == [
        'certbroker.toml:2: defaults.issuer: "letsencript" is no issuer; did you mean letsencrypt?',
        "certbroker.toml:5: issuer.letsencrypt.agree_to_term: is not a setting here; did you mean agree_to_terms?",
        'certbroker.toml:8: solver.dns.type: "dnss" is no solver type; did you mean dns?',
        "certbroker.toml:13: target.cloud.tokn: is not a setting here; did you mean token?",
        "certbroker.toml:14: target.cloud.deadline: must be a time with its unit, such as 90s, 60m, 2h or 1d",
        'certbroker.toml:16: target.cloud.edges: "https://edge.example" is a URL; give HOST or HOST:PORT',
        "certbroker.toml:20: target.folder.place: … is not a path",
        'certbroker.toml:24: certificate.main.names: "../etc/passwd" holds /, which no DNS name has',
        "certbroker.toml:25: certificate.main.keys: must be ecdsa-p256, ecdsa-p384, rsa-2048, rsa-3072 or rsa-4096; "
        "did you mean ecdsa-p256?",
        'certbroker.toml:26: certificate.main.targets: "foldr" is no target; did you mean folder?',
        'certbroker.toml:26: certificate.main.targets.names: "exmaple.com" is not among the names of the certificate; '
        "did you mean example.com?",
        "certbroker.toml:28: alert: is not a setting here; did you mean alerts?",
    ]


def test_the_error_keeps_every_problem_apart(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, TEN)
    assert [problem.line for problem in caught.value.problems] == [2, 5, 8, 13, 14, 16, 20, 24, 25, 26, 26, 28]
    assert caught.value.file == "certbroker.toml"


BROKEN_TOML = [
    ("[a\n", "1: file: is not TOML: expected ']' at the end of a table declaration"),
    ("\n\nx\n", "3: file: is not TOML: expected '=' after a key in a key/value pair"),
    (f'[target.cloud]\ntoken = "{FAKE_TOKEN}\n', "2: file: is not TOML: illegal character '\\n'"),
    (
        "a = 1\n\n[certificate.main]\n[certificate.main]\n",
        "4: file: is not TOML: cannot declare ('certificate', 'main') twice",
    ),
    ("x = " + "[" * 5000, "1: file: is nested too deeply"),
    ("x = " + "9" * 5000, "1: file: holds a number that is too long"),
    (b"[store]\nurl = '\xff'\n", "2: file: is not UTF-8 text"),
]


@pytest.mark.parametrize(("text", "told"), BROKEN_TOML)
def test_what_is_not_toml_is_told_with_its_line(tmp_path: Path, text: str | bytes, told: str) -> None:
    assert only(tmp_path, text) == told


ONE_MISTAKE = [
    (
        '[certificate.x]\nnames = ["a.example"]\nchallenge = "dns-persist-01"\nalias = "v.example"',
        "23: certificate.x.alias: has no meaning with dns-persist-01: nothing is written into a zone",
    ),
    ('[certificate.x]\nnames = ["a.example"]\nalias = "*.v.example"', "22: certificate.x.alias: *.v.example is a wildcard, not a zone"),
    (
        '[certificate.x]\nnames = ["a.example"]\nalias = "' + ".".join(["v" * 60] * 4) + '"',
        "22: certificate.x.alias: makes a name of more than 253 characters with a.example",
    ),
    (
        '[certificate.x]\nnames = ["a.example"]\nchallenge = "http-01"',
        "22: certificate.x.challenge: http-01 needs a solver that answers over HTTP: [solver.NAME] with type web",
    ),
    (
        '[solver.web]\ntype = "web"\n[certificate.x]\nnames = ["a.example",\n"*.a.example"]\nchallenge = "http-01"',
        "23: certificate.x.names: *.a.example cannot be proven by http-01: no CA takes it for a wildcard; "
        "use dns-01, or leave the wildcard out",
    ),
    (
        '[solver.web]\ntype = "web"\nzones = ["b.example"]\n[certificate.x]\nnames = ["a.example"]\nchallenge = "http-01"',
        "24: certificate.x.names: no solver answers for a.example over HTTP: it is in none of the zones of web",
    ),
    ('[solver.web]\ntype = "web"\ntarget = "clowd"', '22: solver.web.target: "clowd" is no target; did you mean cloud?'),
    ("certificate = 1", "20: certificate: must be tables: [certificate.NAME]"),
    ("[certificate]\nmain = 1", "21: certificate.main: is not a table; certificates are written [certificate.NAME]"),
    (
        '[certificate."../x"]\nnames = ["a.example"]',
        '20: certificate."../x": is no name: 1 to 63 letters, digits, dots, hyphens or underscores, '
        "the first a letter or digit",
    ),
    ("[certificate.x]", "20: certificate.x.names: is missing"),
    ("[certificate.x]\nnames = []", "21: certificate.x.names: is empty"),
    ('[certificate.x]\nnames = "a.example"', "21: certificate.x.names: must be a list"),
    ('[certificate.x]\nnames = ["a.example",\n 7]', "22: certificate.x.names: entry 2 must be text in quotes"),
    ('[certificate.x]\nnames = ["a.example", "A.example."]', "21: certificate.x.names: a.example is named twice"),
    (
        '[certificate.x]\nnames = ["*.a.example", "w.a.example"]',
        "21: certificate.x.names: w.a.example is covered by *.a.example; Let's Encrypt refuses both in one certificate",
    ),
    (
        '[certificate.x]\nnames = ["a.example"]\ntargets = ["cloud", "cloud"]',
        "22: certificate.x.targets: cloud is listed twice",
    ),
    (
        '[certificate.x]\nnames = ["a.example"]\ntargets = [3]',
        "22: certificate.x.targets: each entry is a target's name or { target = \"NAME\", names = [...] }",
    ),
    (
        '[certificate.x]\nnames = ["a.example"]\ntargets = [{ target = "cloud", name = ["a.example"] }]',
        "22: certificate.x.targets.name: is not a setting here; did you mean names?",
    ),
    (
        '[certificate.x]\nnames = ["a.example"]\nissuer = ["letsencrypt", "letsencrypt"]',
        "22: certificate.x.issuer: names an issuer twice",
    ),
    (
        '[certificate.x]\nnames = ["a.example"]\nkeys = ["rsa-2048", "rsa-2048"]',
        "22: certificate.x.keys: names a key type twice",
    ),
    (
        '[certificate.x]\nnames = ["a.example"]\nkey_policy = "every 0"',
        '22: certificate.x.key_policy: must be "rotate", "reuse" or "every N", as in "every 4"',
    ),
    (
        '[certificate.x]\nnames = ["www.{each}"]',
        "21: certificate.x.names: {each} stands for the entries of each = […], which is missing",
    ),
    (
        '[certificate.x]\neach = ["a.example"]\nnames = ["www.example"]',
        "22: certificate.x.names: needs {each} in at least one name, else all entries would be the same certificate",
    ),
    (
        '[certificate.x]\neach = ["a.example",\n"a.example"]\nnames = ["{each}"]',
        "21: certificate.x.each: there is already a certificate named a.example, at line 21",
    ),
    (
        '[certificate.x]\neach = ["a.example",\n"*.b.example"]\nnames = ["{each}"]',
        '22: certificate.x.each: "*.b.example" cannot name a certificate: at most 63 letters, digits, dots and hyphens',
    ),
    ('[issuer.house]\nprofile = "p"', "20: issuer.house: needs directory = URL; only letsencrypt, letsencrypt-staging, zerossl, google or google-test is known by name"),
    ('[issuer.google]\neab = "secret"', "21: issuer.google.eab: must be a table"),
    ('[issuer.google]\neab = { kid = "k" }', "21: issuer.google.eab.hmac: is missing"),
    ('[issuer.google]\neab = { hmac = { env = "H" } }', "21: issuer.google.eab.kid: is missing"),
    (
        '[issuer.google]\neab = { kid = "k", hmac = "MjXU3MH-Z0WQ7piMAnVsCpD1shgMiWx6ggPWiTmydgUaj7dWWWfQfA" }',
        '21: issuer.google.eab.hmac: must be { env = "NAME" }, { file = "PATH" } or { command = ["PROGRAM", …] }; a secret itself does not belong into this file',
    ),
    (
        '[issuer.google]\neab = { kid = "k", hmac = { env = "H" }, alg = "HS265" }',
        '21: issuer.google.eab.alg: must be "HS256", "HS384" or "HS512"; did you mean HS256?',
    ),
    ('[issuer.google]\neab = { kid = " ", hmac = { env = "H" } }', "21: issuer.google.eab.kid: must be the key's id as the CA shows it, or point to it"),
    ('[issuer.google]\neab = { kdi = "k", hmac = { env = "H" } }', "21: issuer.google.eab.kdi: is not a setting here; did you mean kid?"),
    ('[issuer.house]\ndirectory = "ftp://x"', "21: issuer.house.directory: must be a URL, as in https://acme.example.com/directory"),
    ('[issuer.house]\ndirectory = "http://ca.example/dir"', "21: issuer.house.directory: must begin with https://"),
    (
        '[issuer.house]\ndirectory = "https://u:p@ca.example/dir"',
        "21: issuer.house.directory: holds a user or password, which does not belong into a URL",
    ),
    ('[target.x]\ntoken = { env = "X" }', "20: target.x.type: is missing"),
    ('[target.x]\ntpye = "cloud"\ntoken = { env = "X" }', "21: target.x.tpye: is not a setting here; did you mean type?"),
    ('[target.x]\ntype = "cluod"', '21: target.x.type: "cluod" is no provider; did you mean cloud?'),
    ('[target.x]\ntype = "cloud"', "20: target.x.token: is missing"),
    ('[target.x]\ntype = "cloud"\ntoken = { enf = "X" }', '22: target.x.token: must be { env = "NAME" }, { file = "PATH" } or { command = ["PROGRAM", …] }'),
    ('[target.x]\ntype = "cloud"\ntoken = { env = "X" }\nsize = 0', "23: target.x.size: input should be greater than or equal to 1"),
    (
        '[target.x]\ntype = "cloud"\ntoken = { env = "X" }\nownership = "publsh"',
        '23: target.x.ownership: must be "publish" or "print"; did you mean publish?',
    ),
    ('[target.x]\ntype = "cloud"\ntoken = { env = "X" }\nstandbye = true', "23: target.x.standbye: is not a setting here; did you mean standby?"),
    ('[target.x]\ntype = "cloud"\ntoken = { env = "X" }\nlogin = { user = "u", pasword = { env = "P" } }', "23: target.x.login.pasword: is not a setting here; did you mean password?"),
    ('[target.x]\ntype = "careless"\nplace = "/x"\nplac = "/y"', "23: target.x.plac: is not a setting here; did you mean place?"),
    ('[target.x]\ntype = "cloud"\ntoken = { env = "X" }\ndeadline = "0s"', "23: target.x.deadline: must be longer than nothing and at most 3650d"),
    ('[target.x]\ntype = "cloud"\ntoken = { env = "X" }\nedges = ["[::1"]', '23: target.x.edges: "[::1" is no address; IPv6 with a port is written [2001:db8::1]:443'),
    ('[solver.y]\ntype = "dns"\ntoken = { env = "X" }\nzones = ["a b.example"]', '23: solver.y.zones: "a b.example" holds a space, which no DNS name has'),
    ('[store]\nurl = "postgresql://me:hunter2@host/base"', '21: store.url: holds a password, which does not belong into this file; point to the whole URL: url = { env = "CERTBROKER_STORE" }'),
    ('[store]\nurl = "mysql://host/base"', "21: store.url: must begin with sqlite:/// or postgresql://, or point to a URL that does"),
    ('[vault]\nkey = "hunter2"', '21: vault.key: must be "file:PATH", "env:NAME" or "systemd:NAME"; the key itself does not belong into this file'),
    ('[network]\nconnect_to = { "a.example" = "b.example:99999" }', '21: network.connect_to: "b.example:99999": a port is a number from 1 to 65535'),
    ('[schedule]\nevery = "hourly"', "21: schedule.every: must be a time with its unit, such as 90s, 60m, 2h or 1d"),
    ("[schedule]\nkeep = 0", "21: schedule.keep: input should be greater than or equal to 1"),
    ('[caa]\niodef = "security@example.com"', "21: caa.iodef: must be mailto:ADDRESS or the URL of a page that takes reports"),
    ('[caa]\niodef = "mailto:a b@example.com"', "21: caa.iodef: must be one URL"),
    ("store = 1", "20: store: must be a table: [store]"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "told"), ONE_MISTAKE)
def test_one_mistake_is_one_line(tmp_path: Path, text: str, told: str) -> None:
    head = HEAD + "\n" * (19 - HEAD.count("\n"))
    if "=" in text.split("\n", 1)[0]:  # a top-level key must stand before the first table
        assert only(tmp_path, text + "\n") == told.replace("20:", "1:", 1)
    else:
        assert only(tmp_path, head + text + "\n") == told


def test_two_certificates_for_one_name_on_one_target_are_refused(tmp_path: Path) -> None:
    other = '[certificate.other]\nnames = ["example.com", "*.example.com", "else.example"]\ntargets = ["cloud"]\n'
    assert only(tmp_path, HEAD + MAIN + other) == (
        "24: certificate.other.targets: example.com and 1 more on cloud is also served by certificate main; "
        "one of other and main must leave it out"
    )


def test_two_certificates_share_names_on_different_targets(tmp_path: Path) -> None:
    text = HEAD + MAIN.replace('"cloud", ', "") + '[certificate.o]\nnames = ["example.com"]\ntargets = ["cloud"]\n'
    assert list(read(tmp_path, text).certificates) == ["main", "o"]


def test_an_entry_may_not_take_the_name_of_another_certificate(tmp_path: Path) -> None:
    text = HEAD + MAIN + '[certificate.v]\neach = ["main"]\nnames = ["{each}.example.org"]\n'
    assert only(tmp_path, text) == "23: certificate.v.each: there is already a certificate named main, at line 19"


def test_a_certificate_needs_a_solver(tmp_path: Path) -> None:
    text = HEAD.replace('[solver.dns]\ntype = "dns"\ntoken = { env = "DNS_TOKEN" }\n', "") + MAIN
    assert only(tmp_path, text) == (
        " solver: is missing: no certificate can be proven without one; add [solver.NAME] with a type, one of dns, web"
    )


def test_a_certificate_needs_an_issuer(tmp_path: Path) -> None:
    text = HEAD.replace('issuer = "letsencrypt"\n', "").replace("[issuer.letsencrypt]\nagree_to_terms = true\n", "")
    assert only(tmp_path, text + MAIN) == (
        "16: certificate.main.issuer: is missing, and [defaults] has none; there is google, google-test, letsencrypt, letsencrypt-staging or zerossl"
    )


def test_a_single_issuer_is_the_default(tmp_path: Path) -> None:
    text = HEAD.replace('issuer = "letsencrypt"\n', "") + MAIN
    assert read(tmp_path, text).certificates["main"].issuers == ("letsencrypt",)


def test_a_target_that_takes_none_of_the_keys_is_told(tmp_path: Path) -> None:
    text = HEAD + '[target.old]\ntype = "rsa-only"\ntoken = { env = "X" }\n' + MAIN.replace('"folder"', '"old"')
    assert only(tmp_path, text) == "24: certificate.main.targets: old takes rsa-2048, and keys has only ecdsa-p256"
    assert read(tmp_path, text.replace("targets", 'keys = ["ecdsa-p256", "rsa-2048"]\ntargets')).certificates


def test_two_solvers_may_not_hold_one_zone(tmp_path: Path) -> None:
    zones = 'zones = ["example.com"]\n'
    text = HEAD.replace(
        "[target.cloud]", f'{zones}[solver.two]\ntype = "dns"\ntoken = {{ env = "T" }}\n{zones}\n[target.cloud]'
    )
    assert only(tmp_path, text) == "15: solver.two.zones: example.com is also a zone of solver dns"


def test_a_reference_to_a_table_with_a_mistake_is_no_second_mistake(tmp_path: Path) -> None:
    text = (HEAD + MAIN).replace('token = { env = "CLOUD_TOKEN" }', "token = 1")
    assert len(problems(tmp_path, text)) == 1


def test_solvers_that_only_answer_over_http_write_no_txt(tmp_path: Path) -> None:
    text = '[solver.web]\ntype = "web"\n[issuer.letsencrypt]\n[certificate.x]\nnames = ["a.example"]\n'
    assert only(tmp_path, text).endswith("dns-01 needs a solver that writes TXT records, and there is none")
    assert read(tmp_path, text + 'challenge = "http-01"\n').certificates["x"].challenge == "http-01"


def test_two_solvers_of_different_kinds_may_have_one_zone(tmp_path: Path) -> None:
    text = HEAD.replace("[solver.dns]", '[solver.dns]\nzones = ["a.example"]') + MAIN
    text += '[solver.web]\ntype = "web"\nzones = ["a.example"]\n'
    assert set(read(tmp_path, text).solvers) == {"dns", "web"}


def test_a_certificate_that_is_proven_by_a_standing_record_needs_no_solver(tmp_path: Path) -> None:
    text = '[issuer.letsencrypt]\n[certificate.x]\nnames = ["a.example"]\nchallenge = "dns-persist-01"\n'
    assert read(tmp_path, text).certificates["x"].challenge == "dns-persist-01"
