"""A Kubernetes Secret of the type kubernetes.io/tls (Kubernetes API, core/v1), in JSON or YAML."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from certbroker.errors import BadMaterial, UsageError

TLS: Final = "kubernetes.io/tls"
_AS_JSON: Final = "kubectl get secret NAME -o json > secret.json"


def read_manifest(shown: str, text: str) -> tuple[str, str]:
    """The PEM texts of `tls.crt` and `tls.key`.

    Raises:
        BadMaterial: it is no manifest, or holds no such Secret or several.
        UsageError: it is YAML, and nothing here reads YAML.
    """
    documents = [_json(shown, text)] if text.lstrip().startswith("{") else _yaml(shown, text)
    secrets = [each for document in documents for each in _secrets(document)]
    if not secrets:
        raise BadMaterial(f"there is no Secret of the type {TLS} in {shown}")
    if len(secrets) > 1:
        names = ", ".join(_name(each) for each in secrets)
        raise BadMaterial(f"there are {len(secrets)} Secrets of the type {TLS} in {shown}: {names}", hint=_AS_JSON)
    return _text(shown, secrets[0], "tls.crt"), _text(shown, secrets[0], "tls.key")


def _json(shown: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # its message would quote what it could not read
        raise BadMaterial(f"{shown} is not JSON") from None


def _yaml(shown: str, text: str) -> list[Any]:
    try:
        import yaml
    except ImportError:
        hint = f"give it as JSON: {_AS_JSON} ; or pip install 'certbroker[yaml]'"
        raise UsageError(f"{shown} is YAML, which needs the extra yaml", hint=hint) from None
    try:
        return list(yaml.safe_load_all(text))
    except (yaml.YAMLError, ValueError, RecursionError):
        raise BadMaterial(f"{shown} is not YAML") from None


def _secrets(document: Any) -> Iterator[Mapping[str, Any]]:
    if not isinstance(document, Mapping):
        return
    if document.get("kind") == "Secret" and document.get("type") == TLS:
        yield document
    items = document.get("items")
    for item in items if isinstance(items, list) else []:
        if isinstance(item, Mapping) and item.get("kind") == "Secret" and item.get("type") == TLS:
            yield item


def _name(secret: Mapping[str, Any]) -> str:
    metadata = secret.get("metadata")
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    return name if isinstance(name, str) else "one without a name"


def _text(shown: str, secret: Mapping[str, Any], key: str) -> str:
    """`stringData` wins over `data`, as the API server has it."""
    plain, coded = secret.get("stringData"), secret.get("data")
    if isinstance(plain, Mapping) and isinstance(text := plain.get(key), str):
        return text
    if not isinstance(coded, Mapping) or not isinstance(value := coded.get(key), str):
        raise BadMaterial(f"the Secret {_name(secret)} in {shown} has no {key}")
    try:
        return base64.b64decode("".join(value.split()), validate=True).decode()
    except (binascii.Error, ValueError):
        raise BadMaterial(f"{key} of the Secret {_name(secret)} in {shown} is not base64 of a text") from None
