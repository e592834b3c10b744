"""What the broker tells the watcher: which edge is to serve what, until when, and when it will be told anew. No secret in it.

Written by `standing/inventory.py` of whoever holds the store, read here by whoever has nothing else. README.md beside this file
tells every member. A reader takes the version that it knows and nothing more: what is unknown, missing or out of bounds is an
error with its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    model_validator,
)

from certbroker import __version__
from certbroker.errors import BadMaterial, ConfigError, Problem
from certbroker.model import LABEL
from certbroker.names import NAME, is_address
from certbroker.probe import Roots

VERSION: Final = 1
"""Goes up with every member that comes, goes or means something else: a reader refuses what it does not know."""

LONGEST: Final = timedelta(days=366)
"""Between two writings."""

MOST_TOLD: Final = 10
"""Mistakes of one inventory."""

_HOST: Final = r"^[A-Za-z0-9_.:-]{1,253}$"
_TO: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]{2,64}\]|[A-Za-z0-9_.-]{1,253}):([0-9]{1,5})")


def _utc(moment: datetime) -> datetime:
    if not 2000 <= moment.year <= 9000:
        raise ValueError("is no moment that a clock shows")
    return moment.astimezone(UTC)


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("holds signs that no page shows")
    return text


def _label(text: str) -> str:
    if not LABEL.fullmatch(text):
        raise ValueError("is no name as the file has them")
    return text


def _name(text: str) -> str:
    if len(text) > 253 or not (NAME.fullmatch(text) or (is_address(text) and re.fullmatch("[0-9a-f:.]+", text))):
        raise ValueError("is neither a DNS name nor an IP address")
    return text


def _address(text: str) -> str:
    found = _TO.fullmatch(text)
    if not found or not 0 < int(found[1]) < 65536:
        raise ValueError("must be HOST:PORT")
    return text


Moment = Annotated[
    AwareDatetime,
    AfterValidator(_utc),
    PlainSerializer(lambda moment: f"{moment:%Y-%m-%dT%H:%M:%S}Z", return_type=str, when_used="json"),
]
Label = Annotated[str, AfterValidator(_label)]
Words = Annotated[str, Field(max_length=1000), AfterValidator(_printable)]
Fingerprint = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Address = Annotated[str, AfterValidator(_address)]


class Told(BaseModel):
    """Nothing unknown, nothing coerced, and no message repeats what was written."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class Expected(Told):
    """A version that may be served. `act_by`: its last safe moment; `roots`: which it is judged by, None: the system's."""

    fingerprint: Fingerprint
    label: Words
    starts: Moment
    ends: Moment
    act_by: Moment
    roots: Label | None = None


class Where(Told):
    """An address at which TLS is answered."""

    host: Annotated[str, Field(pattern=_HOST)]
    port: Annotated[int, Field(ge=1, le=65535)] = 443


class AtTarget(Told):
    """Names at one target that are to be served alike: `serves` has what is wanted, then what is as good until a push has arrived."""

    target: Label
    standby: bool = False
    """Users are not sent there: nobody is woken for it."""
    names: Annotated[tuple[Annotated[str, AfterValidator(_name)], ...], Field(min_length=1)]
    serves: Annotated[tuple[Fingerprint, ...], Field(min_length=1)]
    edges: tuple[Where, ...] = ()
    """Empty: nobody can look; the target has it by its own word."""


class Entry(Told):
    """One certificate. `renews`: when the broker means to renew it."""

    name: Label
    renews: Moment | None = None
    versions: tuple[Expected, ...]
    targets: tuple[AtTarget, ...] = ()

    @model_validator(mode="after")
    def _whole(self) -> Self:
        known = {each.fingerprint for each in self.versions}
        if not all(known.issuperset(each.serves) for each in self.targets):
            raise ValueError("what a target serves is not among the versions")
        places = [(each.target, name) for each in self.targets for name in each.names]
        if len(set(places)) < len(places):
            raise ValueError("says the same name of a target twice")
        return self


class Inventory(Told):
    """All of it. `roots` are PEM certificates by their key; `connect_to` says where edges are reached instead, as in the file."""

    certbroker_inventory: Annotated[int, Field(ge=VERSION, le=VERSION)]
    store: Words
    host: Words
    """Who wrote it."""
    written: Moment
    next_writing: Moment
    last_run: Moment | None = None
    """When the last `renew` began that this store knows of."""
    link: Annotated[str, Field(pattern=r"^https?://[!-~]{1,1000}$")] | None = None
    """The dashboard."""
    roots: dict[Label, str] = {}
    connect_to: dict[Address, Address] = {}
    certificates: tuple[Entry, ...]

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if not timedelta(0) < self.next_writing - self.written <= LONGEST:
            raise ValueError("next_writing must come after written, within 366 days")
        names = [each.name for each in self.certificates]
        if len(set(names)) < len(names):
            raise ValueError("has a certificate twice")
        used = {version.roots for each in self.certificates for version in each.versions if version.roots}
        if not used <= self.roots.keys():
            raise ValueError("refers to roots that it does not have")
        for key, pem in self.roots.items():
            try:
                Roots.of(pem)
            except BadMaterial:
                raise ValueError(f"roots.{key} holds no certificates that can be read") from None
        return self

    @property
    def interval(self) -> timedelta:
        """From one writing to the next."""
        return self.next_writing - self.written

    def text(self) -> bytes:
        """As it is written."""
        return self.model_dump_json(indent=1, exclude_defaults=True).encode() + b"\n"


def parse(text: bytes, shown: str) -> Inventory:
    """Raises ConfigError with every mistake that was found and its place. `shown`: what it was read from, for people."""
    try:
        return Inventory.model_validate_json(text)
    except ValidationError as error:
        problems = list(_problems(error))
        newer = problems[0].path == _NUMBER and "reads version" in problems[0].what
        raise ConfigError(shown, problems, hint=_UPGRADE if newer else _HINT) from None


_NUMBER: Final = "certbroker_inventory"
_HINT: Final = "certbroker inventory -o FILE writes one, and so does each run with [watch] inventory in its file"
_UPGRADE: Final = "let the watcher's certbroker be no older than the broker's"


def _problems(error: ValidationError) -> Iterator[Problem]:
    found = error.errors(include_url=False)
    inside = {each["loc"][:size] for each in found for size in range(len(each["loc"]))}
    found = [
        each for each in found if each["loc"] not in inside
    ]  # a list is too short without its entries that are wrong
    for each in found:
        if each["loc"] == (_NUMBER,):
            yield Problem(None, _NUMBER, _strange(each["type"], each["input"]))
            return
    for each in found[:MOST_TOLD]:
        what = each["msg"].removeprefix("Value error, ")
        place = re.search(r" at line ([0-9]+) column ([0-9]+)$", what) if each["type"] == "json_invalid" else None
        if place:
            what = what.removesuffix(place[0]).removeprefix("Invalid JSON: ")
            yield Problem(int(place[1]), f"column {place[2]}", f"is no JSON: {what}")
        else:
            yield Problem(None, _shown(each["loc"]), what[:1].lower() + what[1:])
    if len(found) > MOST_TOLD:
        yield Problem(None, "and more", f"{len(found) - MOST_TOLD} mistakes of the kind")


def _strange(kind: str, said: object) -> str:
    if kind == "missing":
        return "is missing: this is no inventory"
    if type(said) is int:
        return f"is version {said}, and certbroker {__version__} reads version {VERSION}"
    return f"must be the number {VERSION}"


def _shown(place: Sequence[str | int]) -> str:
    """`certificates.0.targets.1.names`; the whole, where it is about that."""
    return ".".join(str(part) for part in place if part != "[key]")[:200] or "inventory"
