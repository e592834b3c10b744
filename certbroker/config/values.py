"""The values of the file: how each is read from what TOML gives, what is refused, and how JSON Schema tells it."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Final
from urllib.parse import parse_qsl, urlsplit

from pydantic import BeforeValidator, Field, PlainValidator, WithJsonSchema

from certbroker.config import names
from certbroker.config.words import Refusal, listed, nearest
from certbroker.model import Edge, KeyPolicy, KeyType, Method
from certbroker.secret import SecretRef

_NOT_HERE: Final = (
    'holds a password, which does not belong into this file; point to the whole URL: url = { env = "CERTBROKER_STORE" }'
)


def as_text(value: object) -> str:
    if not isinstance(value, str):
        raise Refusal("must be text in quotes")
    return value


def as_path(value: object) -> str:
    """The target of a request: no spaces, nothing beyond ASCII, no fragment."""
    text = as_text(value)
    if not re.fullmatch(r"/[!-\"$-~]*", text):
        raise Refusal("must be a path from its slash on, as in /healthz")
    return text


def as_list(value: object) -> object:
    """One word may stand for a list of one."""
    return [value] if isinstance(value, str) else value


def as_key_type(value: object) -> KeyType:
    known = [key_type.value for key_type in KeyType]
    text = as_text(value)
    if text not in known:
        raise Refusal(f"must be {listed(known)}{nearest(text, known)}")
    return KeyType(text)


def as_https(value: object) -> str:
    """A URL we may talk to: https, or http on this machine. It carries no password and no fragment."""
    text = as_text(value)
    try:
        parts = urlsplit(text)
        host, _port = parts.hostname or "", parts.port
    except ValueError:
        raise Refusal("is no URL") from None
    if parts.username is not None or parts.password is not None:
        raise Refusal("holds a user or password, which does not belong into a URL")
    loopback = host in ("localhost", "127.0.0.1", "::1")
    if not host or parts.scheme not in ("https", "http") or not text.isprintable() or " " in text:
        raise Refusal("must be a URL, as in https://acme.example.com/directory")
    if parts.scheme == "http" and not loopback:
        raise Refusal("must begin with https://")
    return text


def as_store_url(value: object) -> str | SecretRef:
    if not isinstance(value, str):
        return SecretRef.parse(value)
    try:
        parts = urlsplit(value)
        password, query = parts.password, parse_qsl(parts.query)
    except ValueError:
        raise Refusal("is no URL") from None
    if password is not None or any("password" in key.lower() for key, _ in query):
        raise Refusal(_NOT_HERE)
    if parts.scheme == "sqlite" and value.startswith("sqlite:///") and len(value) > len("sqlite:///"):
        return value
    if parts.scheme in ("postgresql", "postgres") and value.startswith(f"{parts.scheme}://"):
        return value.replace("postgres://", "postgresql://", 1)
    raise Refusal("must begin with sqlite:/// or postgresql://, or point to a URL that does")


def as_vault_url(value: object) -> str:
    text = as_text(value)
    kind, _, rest = text.partition(":")
    if kind not in ("file", "env", "systemd") or not rest:
        raise Refusal(
            'must be "file:PATH", "env:NAME" or "systemd:NAME"; the key itself does not belong into this file'
        )
    return text


def as_report(value: object) -> str:
    """Where CAs tell what they refused (RFC 8659 section 4.4)."""
    text = as_text(value)
    parts = urlsplit(text)
    if not text.isprintable() or any(sign in text for sign in ' "\\'):
        raise Refusal("must be one URL")
    if not ((parts.scheme == "mailto" and "@" in parts.path) or (parts.scheme in ("http", "https") and parts.netloc)):
        raise Refusal("must be mailto:ADDRESS or the URL of a page that takes reports")
    return text


def as_addresses(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise Refusal('must be a table such as { "192.0.2.1:443" = "127.0.0.1:8443" }')
    return {names.address(as_text(key), 443): names.address(as_text(there), 443) for key, there in value.items()}


TEXT: Final = {"type": "string", "minLength": 1}
REFERENCE: Final = SecretRef.__get_pydantic_json_schema__({}, None)  # type: ignore[arg-type]  # neither is looked at

Text = Annotated[str, Field(min_length=1)]
Duration = Annotated[
    timedelta,
    PlainValidator(lambda value: names.duration(as_text(value))),
    WithJsonSchema({"type": "string", "pattern": "^([0-9]+[smhd])+$"}),
]
Name = Annotated[str, PlainValidator(lambda value: names.dns_name(as_text(value))), WithJsonSchema(TEXT)]
Address = Annotated[str, PlainValidator(lambda value: names.address(as_text(value), 53)), WithJsonSchema(TEXT)]
EdgeText = Annotated[Edge, PlainValidator(lambda value: names.edge(as_text(value))), WithJsonSchema(TEXT)]
Key = Annotated[
    KeyType, PlainValidator(as_key_type), WithJsonSchema({"enum": [key_type.value for key_type in KeyType]})
]
KeyPolicyText = Annotated[
    KeyPolicy,
    PlainValidator(lambda value: names.key_policy(as_text(value))),
    WithJsonSchema({"type": "string", "pattern": "^(rotate|reuse|every [1-9][0-9]{0,3})$"}),
]
Keys = Annotated[list[Key], Field(min_length=1)]
Issuers = Annotated[
    list[Text],
    BeforeValidator(as_list),
    Field(min_length=1),
    WithJsonSchema({"oneOf": [TEXT, {"type": "array", "items": TEXT, "minItems": 1}]}),
]


def as_method(value: object) -> Method:
    known = [method.value for method in Method]
    text = as_text(value)
    if text not in known:
        raise Refusal(f"must be {listed(known)}{nearest(text, known)}")
    return Method(text)


Challenge = Annotated[Method, PlainValidator(as_method), WithJsonSchema({"enum": [method.value for method in Method]})]


def as_kid(value: object) -> str | SecretRef:
    if not isinstance(value, str):
        return SecretRef.parse(value)
    if not value.isascii() or not value.isprintable() or not value.strip():
        raise Refusal("must be the key's id as the CA shows it, or point to it")
    return value
