"""What hides a private key in words that others say."""

from __future__ import annotations

import json

import pytest

from certbroker import keys
from certbroker.model import KeyType
from certbroker.secret import without_key

PEM = keys.generate(KeyType.P256).reveal()
BODY = "".join(PEM.splitlines()[1:-1])


@pytest.mark.parametrize(
    "said",
    [
        f"cannot read {PEM}",
        f"cannot read {json.dumps(PEM)}",
        f"near '{BODY[50:70]}'",
        f"near '{BODY[100:]}",
        f"near {BODY[48:60]}…",
        BODY.replace(BODY[60], " "),
    ],
    ids=["pem", "json", "short-piece", "long-piece", "cut", "holes"],
)
@pytest.mark.parametrize("sent", [PEM, json.dumps({"key": PEM, "name": "main"})], ids=["pem", "json"])
def test_a_key_is_hidden_however_it_is_cut(said: str, sent: str) -> None:
    told = without_key(said, sent)
    assert "…" in told
    assert not [at for at in range(len(BODY) - 7) if BODY[at : at + 8] in told]


def test_words_stay() -> None:
    said = "Certificate 4c1f09ab9c41e2a07b13 for example.com/path is already taken (AKIAIOSFODNN7EXAMPLE)"
    assert without_key(said, PEM) == said
    assert without_key(said, "no key in here") == said
    assert without_key(BODY, "no key in here") == BODY
