"""PEM files in a folder, for a server on this machine: the reference adapter, which needs no account.

The files that a server reads are links that never change; all of them lead through one link, `.certbroker/current`, to the folder
of one version. Swapping that link switches certificate and key in the same instant.

    FOLDER/fullchain.pem        -> .certbroker/current/fullchain.pem
    FOLDER/privkey.pem          -> .certbroker/current/privkey.pem      (cert.pem and chain.pem too)
    FOLDER/.certbroker/current  -> 4c1f09ab-9c41e2a07b13
    FOLDER/.certbroker/4c1f09ab-9c41e2a07b13/   one version, never edited: four PEM files and certbroker.json, which says whose it is
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Final, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from certbroker import keys
from certbroker.errors import BadMaterial, CredentialsRejected, Missing, Rejected
from certbroker.model import (
    Assignment,
    Bundle,
    Done,
    Edge,
    Keep,
    Live,
    Outcome,
    Owner,
    Restorable,
    Standing,
    Traits,
)
from certbroker.names import covers
from certbroker.provider import Context
from certbroker.secret import Secret
from certbroker_files import reload
from certbroker_files.answering import Answers
from certbroker_files.disk import Disk, Rights, refusal
from certbroker_files.place import DUE, MARK, PARTS, VERSION, Place, anchored, folder_for

__all__ = ["FilesProvider", "FilesSettings"]

_FILE: Final = r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$"


class FilesSettings(BaseModel):
    """The table `[target.NAME]` with `type = "files"`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    folder: str = Field(
        pattern=r"^[^\x00-\x1f\x7f]+$",
        description="Where the files go; may hold {certificate}. Relative to the configuration file.",
    )
    fullchain: str = Field(default="fullchain.pem", pattern=_FILE, description="Leaf and intermediates.")
    privkey: str = Field(default="privkey.pem", pattern=_FILE, description="The private key (PKCS#8).")
    cert: str = Field(default="cert.pem", pattern=_FILE, description="The leaf alone.")
    chain: str = Field(default="chain.pem", pattern=_FILE, description="The intermediates alone.")
    mode: str = Field(default="0600", pattern=r"^0?[0-7]{3}$", description="Rights of the files, octal.")
    owner: str | None = Field(
        default=None, pattern=r"^[^:\s]+(:[^:\s]+)?$", description="USER or USER:GROUP; needs root."
    )
    reload: tuple[str, ...] | None = Field(
        default=None, min_length=1, description="Program and arguments to run after a change, without a shell."
    )
    webroot: str | None = Field(
        default=None,
        pattern=r"^[^\x00-\x1f\x7f]+$",
        description="The folder that the same server serves as /, for answers to http-01.",
    )
    reload_seconds: float = Field(default=60.0, gt=0, le=600, description="How long it may take.")

    @field_validator("folder")
    @classmethod
    def _placeholder(cls, value: str) -> str:
        if set("{}") & set(value.replace("{certificate}", "")):
            raise ValueError("knows one placeholder only: {certificate}")
        return value

    @model_validator(mode="after")
    def _four_names(self) -> Self:
        if len({getattr(self, part) for part in PARTS}) < len(PARTS):
            raise ValueError("fullchain, privkey, cert and chain need four different names")
        return self


class FilesProvider:
    """One folder, or one per certificate."""

    settings: ClassVar[type[BaseModel]] = FilesSettings
    traits: ClassVar[Traits] = Traits(
        addresses=True,
        reads_back=frozenset({"fingerprint", "serial", "issued_by", "ends"}),
        calls_per_second=1000.0,
        burst=1000,
    )

    def __init__(self, settings: FilesSettings, context: Context, disk: Disk) -> None:
        self._settings = settings
        self._context = context
        self._disk = disk
        user, _, group = (settings.owner or "").partition(":")
        self._rights = Rights(int(settings.mode, 8), user or None, group or None)

    @classmethod
    def open(cls, settings: FilesSettings, context: Context) -> Self:
        return cls(settings, context, Disk())

    # ---- the contract ------------------------------------------------------------------------------------------------

    def inspect(self, assignment: Assignment) -> Mapping[str, Live]:
        place = self.place(assignment.certificate)
        with _said_of(place.folder):
            chain, key = place.read("fullchain"), place.read("privkey")
            if chain is None:
                return {}
            bound = place.bound()
            mark = place.mark(bound) if bound and place.linked() else None
        if mark is None or mark.certificate != assignment.certificate:
            live = _foreign(chain, key)
            return dict.fromkeys(assignment.names, replace(live, reference=bound) if mark and bound else live)
        owner = Owner.OURS if mark.store == self._context.store_id else Owner.OTHER_STORE
        leaf = _leaf(chain)
        if leaf is None:
            return dict.fromkeys(assignment.names, Live(owner, Restorable.KEPT, bound or "", store=mark.store))
        live = _live(owner, bound or "", leaf, mark.store)
        return {name: live for name in assignment.names if any(covers(pattern, name) for pattern in leaf.names)}

    def push(self, bundle: Bundle, before: Mapping[str, Live]) -> Mapping[str, Outcome]:
        """All names at once: one pair of files serves them. Raises what the reload command came to; the files are in place then."""
        assignment = bundle.assignment
        place = self.place(assignment.certificate)
        with _said_of(place.folder):
            self._refuse_another_certificate(place, assignment)
            version = f"{self._context.store_id}-{bundle.fingerprint[:12]}"
            if place.mark(version) is None:
                self._write_version(place, version, bundle)
            self._switch(place, version)
            self._reload(place, assignment, bundle.key_pem)
        return dict.fromkeys(assignment.names, Done())

    def restore(self, assignment: Assignment, before: Mapping[str, Live], previous: Bundle | None) -> None:
        """The version we hold, or what `before` names; where nothing was, what is there now stays."""
        if previous is not None:
            self.push(previous, before)
            return
        place = self.place(assignment.certificate)
        for version in sorted({live.reference for live in before.values()}):
            if not VERSION.fullmatch(version) or not (place.inside / version).is_dir():
                raise Missing(f"{place.folder}: what was served before is not kept there")
            with _said_of(place.folder):
                self._switch(place, version)
                self._reload(place, assignment, None)

    def prune(self, assignment: Assignment, keep: Keep) -> tuple[str, ...]:
        place = self.place(assignment.certificate)
        store = self._context.store_id
        removed = []
        with _said_of(place.folder):
            bound = place.bound()
            for name in place.versions():
                mark = place.mark(name)
                if name.startswith((f".new-{store}", f".gone-{store}")):
                    self._disk.remove(place.inside / name)
                    removed.append(f"{place.inside / name}, left by a run that was cut")
                elif (
                    name != bound
                    and mark
                    and mark.is_of(store, assignment)
                    and mark.fingerprint not in keep.fingerprints
                ):
                    gone = place.inside / f".gone-{name}"
                    self._disk.rename(place.inside / name, gone)
                    self._disk.settle(place.inside)
                    self._disk.remove(gone)
                    removed.append(f"{place.inside / name}")
        return tuple(removed)

    def edges(self, assignment: Assignment) -> tuple[Edge, ...]:
        """Nobody can look at a file from outside; `edges` in the file can name the server that reads it."""
        return ()

    def check(self, *, write: bool = False) -> Standing:
        """May we write there? Looks at rights only, also with `write`: nothing is left lying about."""
        written = self._settings.folder
        folder = anchored(written.partition("{certificate}")[0] or ".", self._context)
        there = next(path for path in (folder, *folder.parents) if os.access(path, os.F_OK))
        if not there.is_dir():
            raise Missing(f"{there} is not a folder")
        if not os.access(there, os.W_OK | os.X_OK):
            raise CredentialsRejected(
                f"{there} cannot be written by this user", hint="give it to the user that runs certbroker"
            )
        command = self._settings.reload
        remarks: tuple[str, ...] = ()
        if command and not shutil.which(command[0], path=self._context.environ.get("PATH", os.defpath)):
            remarks = (f"the reload command {command[0]} is not there",)
        return Standing(name=f"folder {written}", reach=f"may write to {there}", remarks=remarks)

    # ---- http-01 -----------------------------------------------------------------------------------------------------

    def can_answer_http01(self) -> None:
        self._answers().check()

    def answer_http01(self, name: str, token: str, key_authorization: str) -> None:
        answers = self._answers()
        with _said_of(answers.webroot):
            answers.write(token, key_authorization)

    def forget_http01(self, name: str, token: str, key_authorization: str) -> None:
        answers = self._answers()
        with _said_of(answers.webroot):
            answers.remove(token, key_authorization)

    def _answers(self) -> Answers:
        if self._settings.webroot is None:
            raise Rejected(
                f"the target {self._context.target} cannot answer http-01: it has no webroot",
                hint=f"set webroot in [target.{self._context.target}] to the folder that its server serves as /",
            )
        return Answers(anchored(self._settings.webroot, self._context), self._disk)

    # ---- how ---------------------------------------------------------------------------------------------------------

    def place(self, certificate: str) -> Place:
        """The folder of that certificate. Raises Rejected if its name cannot be part of a path."""
        names = {part: getattr(self._settings, part) for part in PARTS}
        return Place(folder_for(self._settings.folder, certificate, self._context), names)

    def _refuse_another_certificate(self, place: Place, assignment: Assignment) -> None:
        mark = place.mark(place.bound() or "")
        if mark is not None and mark.certificate != assignment.certificate:
            raise Rejected(
                f"{place.folder} holds the certificate {mark.certificate}",
                hint="give each certificate its own: put {certificate} into folder",
            )

    def _write_version(self, place: Place, version: str, bundle: Bundle) -> None:
        mark = {
            "store": self._context.store_id,
            "certificate": bundle.assignment.certificate,
            "version": bundle.version.label,
            "fingerprint": bundle.fingerprint,
        }
        contents = {
            "fullchain": bundle.version.chain_pem,
            "privkey": bundle.key_pem.reveal(),
            "cert": bundle.leaf_pem,
            "chain": bundle.intermediates_pem,
        }
        files = {f"{part}.pem": text.encode() for part, text in contents.items()}
        self._write_folder(place, version, {**files, MARK: json.dumps(mark, indent=1).encode()})

    def _write_folder(self, place: Place, name: str, files: Mapping[str, bytes]) -> None:
        """Beside, then renamed: under its own name it is complete or not there."""
        for folder in (place.folder, place.inside):
            if not folder.is_dir():
                self._disk.make_folder(folder, self._rights)
        beside = place.inside / f".new-{self._context.store_id}-folder"
        if beside.exists():
            self._disk.remove(beside)
        self._disk.make_folder(beside, self._rights)
        for file, content in files.items():
            self._disk.write(beside / file, content, self._rights)
        self._disk.settle(beside)
        self._disk.rename(beside, place.inside / name)
        self._disk.settle(place.inside)

    def _switch(self, place: Place, version: str) -> None:
        """Let all four files be of that version, in one instant. What others put there is copied first and stays."""
        if not place.linked():
            if any(place.path(part).exists() and not place.linked(part) for part in PARTS):
                self._copy_theirs(place)
            for part in PARTS:
                if not place.linked(part):
                    self._link(place, place.path(part), place.target(part))
            self._disk.settle(place.folder)
        if place.bound() != version:
            due = place.inside / DUE
            if self._settings.reload and not due.exists():
                self._disk.write(due, b"", self._rights)
            self._link(place, place.current, version)
            self._disk.settle(place.inside)

    def _copy_theirs(self, place: Place) -> None:
        """What servers read now, as a version beside ours: when the links come, they show the same."""
        theirs = {f"{part}.pem": content for part in PARTS if (content := place.read(part)) is not None}
        name = _foreign(theirs.get("fullchain.pem", b""), theirs.get("privkey.pem")).reference
        if not (place.inside / name).is_dir():
            self._write_folder(place, name, theirs)
        if place.bound() != name:
            self._link(place, place.current, name)
            self._disk.settle(place.inside)

    def _link(self, place: Place, path: Path, target: str) -> None:
        beside = place.inside / f".new-{self._context.store_id}-link"
        if beside.is_symlink():
            self._disk.remove(beside)
        self._disk.link(beside, target)
        self._disk.rename(beside, path)

    def _reload(self, place: Place, assignment: Assignment, key: Secret | None) -> None:
        """Run the command if a change has not been told yet: after this push's, or one whose command failed or was cut."""
        due = place.inside / DUE
        if self._settings.reload is None or not due.exists():
            return
        facts = {
            "CERTBROKER_CERTIFICATE": assignment.certificate,
            "CERTBROKER_TARGET": assignment.target,
            "CERTBROKER_FOLDER": str(place.folder),
            "CERTBROKER_NAMES": " ".join(assignment.names),
        }
        reload.run(
            self._settings.reload,
            facts=facts,
            environ=self._context.environ,
            seconds=self._settings.reload_seconds,
            key=key,
        )
        self._disk.remove(due)


def _leaf(chain: bytes) -> keys.Leaf | None:
    try:
        return keys.leaf_facts(keys.read_chain(chain.decode("utf-8", "replace"))[0])
    except BadMaterial:
        return None


def _live(owner: Owner, reference: str, leaf: keys.Leaf, store: str | None = None) -> Live:
    return Live(
        owner=owner,
        restorable=Restorable.KEPT,
        reference=reference,
        fingerprint=leaf.fingerprint,
        serial=leaf.serial,
        issued_by=leaf.issued_by,
        ends=leaf.lifetime.ends,
        store=store,
    )


def _foreign(chain: bytes, key: bytes | None) -> Live:
    """Files that we did not write. Of a pair that does not fit together nothing is said: no server could serve it."""
    reference = f"foreign-{hashlib.sha256(chain + (key or b'')).hexdigest()[:12]}"
    leaf = _leaf(chain)
    try:
        public = keys.public_bytes(keys.load_key(Secret((key or b"").decode("utf-8", "replace"))).public_key())
        fits = public == keys.public_bytes(keys.read_chain(chain.decode("utf-8", "replace"))[0].public_key())
    except BadMaterial:
        fits = False
    if leaf is None or not fits:
        return Live(Owner.FOREIGN, Restorable.KEPT, reference)
    return _live(Owner.FOREIGN, reference, leaf)


@contextmanager
def _said_of(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise refusal(error, folder) from error
