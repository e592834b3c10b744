"""Sealing private keys at rest: an AES-256-GCM envelope, bound to the row it lies in.

Each secret has a random data key of its own. The data key seals the secret (`Sealed.box`) and is itself sealed under the
vault key called `kid` (`Sealed.wrapped`), so that a new vault key rewraps 60 bytes a row and leaves the rest alone. Both carry
as associated data the store's id and the row's kind and owner: a box copied to another row or store does not open.

Where the vault key comes from is a URL:

    file:PATH       a text file, mode 0600 or stricter
    env:NAME        a variable with the same text
    systemd:NAME    the file NAME in $CREDENTIALS_DIRECTORY (LoadCredential=, LoadCredentialEncrypted=)

The text is one line per key, the newest first: `certbroker-vault-1 KID BASE64`, with a KID like `2026-11-4c1f` and 32 bytes as
base64. The first line seals; each opens what was sealed under its kid. There is more than one only while keys are rotated.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import os
import re
import secrets
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from certbroker.errors import VaultError
from certbroker.secret import Sealed, Secret, expand

__all__ = ["Sealed", "Vault", "rotate"]

_MARK: Final = "certbroker-vault-1"
_KID: Final = re.compile(r"^[A-Za-z0-9._-]{1,64}$")
_NONCE: Final = 12
"""Bytes; random, and each key seals far fewer than the 2^32 messages that NIST SP 800-38D allows random nonces."""

Boxes = Iterable[tuple[str, str, Sealed]]
"""Kind, owner and box of sealed rows, as `Store.boxes` gives them."""


@dataclass(frozen=True, slots=True, repr=False)
class _Key:
    kid: str
    material: bytes

    def line(self) -> str:
        return f"{_MARK} {self.kid} {base64.b64encode(self.material).decode()}\n"


class Vault:
    """One or more vault keys; the first seals."""

    def __init__(self, keys: Iterable[_Key], url: str, *, file: Path | None = None) -> None:
        self._keys = tuple(keys)
        self._file = file
        self._stamp = _stamp(file)
        self.url = url
        """Where the keys came from; nothing secret."""

    def __repr__(self) -> str:
        return f"Vault({self.url!r}, kids={self.kids!r})"

    @property
    def kid(self) -> str:
        """The name of the key that seals."""
        return self._keys[0].kid

    @property
    def kids(self) -> tuple[str, ...]:
        """All names, the newest first."""
        return tuple(key.kid for key in self._keys)

    @classmethod
    def open(cls, url: str, environ: Mapping[str, str], cwd: Path) -> Vault:
        """Read the keys.

        Args:
            url: `file:PATH`, `env:NAME` or `systemd:NAME`; a relative path starts at `cwd`, `~` is $HOME in `environ`.

        Raises:
            VaultError: missing, not private, or not a vault key.
        """
        scheme, _, place = url.partition(":")
        match scheme:
            case "file" if place:
                path = locate(url, environ, cwd)
                return cls(_parse(_read_private(path), url), url, file=path)
            case "env" if place:
                text = environ.get(place, "")
                if not text.strip():
                    raise VaultError(f"the vault key should be in ${place}, which is not set", hint=f"export {place}=…")
                return cls(_parse(text, url), url)
            case "systemd" if place:
                return cls(_parse(_read(_credential(place, environ)), url), url)
        raise VaultError(
            "the vault's address is not file:PATH, env:NAME or systemd:NAME", hint='[vault] key = "file:PATH"'
        )

    @classmethod
    def make(cls, url: str, environ: Mapping[str, str], cwd: Path, now: datetime) -> Vault:
        """A new key in a new file, mode 0600. For `init` alone. Raises VaultError; never overwrites."""
        path = locate(url, environ, cwd)
        key = _new_key(now, ())
        if path.exists():
            raise VaultError(f"{path} is there already and is not overwritten")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write_new(path, key.line())
        except OSError as error:
            raise VaultError(f"the vault key {path} cannot be written: {error.strerror}") from None
        return cls([key], url, file=path)

    def seal(self, store_id: str, kind: str, owner: str, secret: Secret) -> Sealed:
        """Seal `secret` for the row (`kind`, `owner`) of that store."""
        self._look_again()
        data_key = AESGCM.generate_key(256)
        box = _encrypt(data_key, secret.reveal().encode(), _bound("box", store_id, kind, owner))
        return Sealed(self.kid, self._wrap(data_key, store_id, kind, owner), box)

    def unseal(self, store_id: str, kind: str, owner: str, box: Sealed) -> Secret:
        """The secret of that row. Raises VaultError if the key is missing or the box belongs elsewhere or is damaged."""
        data_key = self._unwrap(store_id, kind, owner, box)
        try:
            return Secret(_decrypt(data_key, box.box, _bound("box", store_id, kind, owner)).decode())
        except (InvalidTag, ValueError):
            raise VaultError(
                f"the sealed key of {kind} {owner} does not open: it is damaged or belongs to another row",
                hint="put a backup back: certbroker restore FILE",
            ) from None

    def rewrap(self, store_id: str, kind: str, owner: str, box: Sealed) -> Sealed:
        """The same box under the key that seals now. Raises VaultError."""
        data_key = self._unwrap(store_id, kind, owner, box)
        return Sealed(self.kid, self._wrap(data_key, store_id, kind, owner), box.box)

    def check(self, store_id: str, boxes: Boxes) -> Counter[str]:
        """Open every box and forget what was in it. How many opened, by kid. Raises VaultError at the first that does not."""
        opened: Counter[str] = Counter()
        for kind, owner, box in boxes:
            self.unseal(store_id, kind, owner, box)
            opened[box.kid] += 1
        return opened

    def _wrap(self, data_key: bytes, store_id: str, kind: str, owner: str) -> bytes:
        return _encrypt(self._keys[0].material, data_key, _bound("key", store_id, kind, owner))

    def _unwrap(self, store_id: str, kind: str, owner: str, box: Sealed) -> bytes:
        key = self._key(box.kid)
        if key is None:
            self._look_again()
            key = self._key(box.kid)
        if key is None:
            raise VaultError(
                f"the key of {kind} {owner} is sealed under {box.kid}, and {self.url} holds {', '.join(self.kids)}",
                hint=f"give certbroker the vault key {box.kid}; without it this key cannot be opened again",
            )
        try:
            return _decrypt(key.material, box.wrapped, _bound("key", store_id, kind, owner))
        except InvalidTag:
            raise VaultError(
                f"the vault key in {self.url} does not open the key of {kind} {owner}: it is another key of the same "
                "name, or the row was moved or damaged",
                hint="find the right key, or put a backup back: certbroker restore FILE",
            ) from None

    def _key(self, kid: str) -> _Key | None:
        return next((key for key in self._keys if key.kid == kid), None)

    def _look_again(self) -> None:
        """Another process may have rotated the keys since we read them: nothing is sealed under one that is going away."""
        stamp = _stamp(self._file)
        if self._file is not None and stamp != self._stamp:
            self._keys, self._stamp = tuple(_parse(_read_private(self._file), self.url)), stamp


def rotate(
    url: str,
    environ: Mapping[str, str],
    cwd: Path,
    now: datetime,
    *,
    store_id: str,
    boxes: Callable[[], Boxes],
    replace: Callable[[str, str, Sealed, Sealed], bool],
    alone: Callable[[], None] = lambda: None,
) -> tuple[Vault, int]:
    """A new vault key: written beside the old ones, every box rewrapped, the old ones removed. Only for `file:`.

    Killed anywhere, nothing is lost, for the file holds every key in use at every moment. Called again it goes on: if the
    file holds several keys, no further one is made.

    Args:
        boxes: all sealed rows; asked until none is left under an old key, for other runs may seal meanwhile.
        replace: put the last argument in the place of the one before it; False if that is not there any more.
        alone: raises while another run is at work, which may have sealed a box that it has not put down yet. The old keys
            stay then, beside the new one, and the next rotation removes them. Runs that begin later use the new one.

    Returns:
        The vault with the new key alone, and how many boxes were rewrapped.

    Raises:
        VaultError: a box does not open, or the file cannot be written. The old keys are still there then.
    """
    if not url.startswith("file:"):
        raise VaultError(
            "only a vault key in a file is rotated here",
            hint="put the new line first in what holds the key, run `certbroker vault rotate` with file:, then remove the old",
        )
    path = locate(url, environ, cwd)
    vault = Vault.open(url, environ, cwd)
    if len(vault.kids) == 1:
        key = _new_key(now, vault.kids)
        _replace(path, "".join(one.line() for one in (key, *vault._keys)))
        vault = Vault((key, *vault._keys), url, file=path)
    rewrapped = _rewrap_all(vault, store_id, boxes, replace)
    alone()
    rewrapped += _rewrap_all(vault, store_id, boxes, replace)
    newest = vault._keys[0]
    _replace(path, newest.line())
    return Vault([newest], url, file=path), rewrapped


def _rewrap_all(
    vault: Vault,
    store_id: str,
    boxes: Callable[[], Boxes],
    replace: Callable[[str, str, Sealed, Sealed], bool],
) -> int:
    done = 0
    while stale := [(kind, owner, box) for kind, owner, box in boxes() if box.kid != vault.kid]:
        for kind, owner, box in stale:
            done += replace(kind, owner, box, vault.rewrap(store_id, kind, owner, box))
    return done


def locate(url: str, environ: Mapping[str, str], cwd: Path) -> Path:
    """The path of a `file:` URL. Raises VaultError for another kind."""
    scheme, _, place = url.partition(":")
    if scheme != "file" or not place:
        raise VaultError("only a vault key in a file is made here", hint='[vault] key = "file:PATH"')
    return cwd / expand(place, environ)


def _stamp(path: Path | None) -> tuple[int, int] | None:
    """Changes with every replacement of the file."""
    if path is None:
        return None
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def _credential(name: str, environ: Mapping[str, str]) -> Path:
    folder = environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        raise VaultError(
            f"the vault key is the systemd credential {name}, and there is no $CREDENTIALS_DIRECTORY",
            hint=f"run it as a service with LoadCredential={name}:PATH",
        )
    if "/" in name:
        raise VaultError("a systemd credential's name has no slash")
    return Path(folder, name)


def _read_private(path: Path) -> str:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError:
        mode = 0  # reading it says better what is wrong
    if mode & 0o077:
        raise VaultError(f"the vault key {path} is open to others (mode {mode:04o})", hint=f"chmod 600 {path}")
    return _read(path)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except FileNotFoundError:
        raise VaultError(
            f"the vault key {path} is not there", hint="put it back from where you keep its copy"
        ) from None
    except OSError as error:
        raise VaultError(f"the vault key {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise VaultError(f"{path} is not a vault key") from None


def _parse(text: str, url: str) -> Iterator[_Key]:
    """Never quotes what it read."""
    keys: dict[str, _Key] = {}
    for number, line in enumerate(text.strip().splitlines(), 1):
        words = line.split()
        if len(words) != 3 or words[0] != _MARK or not _KID.match(words[1]):
            raise VaultError(f"line {number} of {url} is not `{_MARK} KID BASE64`", hint="certbroker init makes one")
        material = b""
        with contextlib.suppress(binascii.Error, ValueError):
            material = base64.b64decode(words[2], validate=True)
        if len(material) != 32:
            raise VaultError(f"line {number} of {url} does not hold 32 bytes as base64")
        if words[1] in keys:
            raise VaultError(f"{url} holds two keys called {words[1]}")
        keys[words[1]] = _Key(words[1], material)
    if not keys:
        raise VaultError(f"{url} holds no vault key")
    return iter(keys.values())


def _new_key(now: datetime, taken: Iterable[str]) -> _Key:
    return _Key(f"{now:%Y-%m}-{secrets.token_hex(2)}", secrets.token_bytes(32))


def _write_new(path: Path, text: str) -> None:
    """On the disk when it returns. Raises FileExistsError."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _replace(path: Path, text: str) -> None:
    """The old content or the new, never less, even when the machine loses power."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        _write_new(beside, text)
        beside.replace(path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        raise VaultError(f"the vault key {path} cannot be written: {error.strerror}") from None


def _bound(part: str, store_id: str, kind: str, owner: str) -> bytes:
    """Lengths in front: no two rows share one text."""
    return b"".join(len(word).to_bytes(4, "big") + word for word in (w.encode() for w in (part, store_id, kind, owner)))


def _encrypt(key: bytes, text: bytes, bound: bytes) -> bytes:
    nonce = secrets.token_bytes(_NONCE)
    return nonce + AESGCM(key).encrypt(nonce, text, bound)


def _decrypt(key: bytes, sealed: bytes, bound: bytes) -> bytes:
    if len(sealed) < _NONCE:
        raise InvalidTag
    return AESGCM(key).decrypt(sealed[:_NONCE], sealed[_NONCE:], bound)
