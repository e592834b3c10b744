"""What the watcher remembers from one round to the next: what was found, who was told, and the last inventory that could be read.

Without a file it lasts as long as the process. It holds nothing secret: ways are named by their place on the command line.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, ValidationError

from certbroker import whole
from certbroker.errors import UsageError
from certbroker.notices import AlertRow, Condition, Kind, Severity
from certbroker.watch.inventory import Inventory, Moment, Told

FORGOTTEN: Final = timedelta(days=2)

Text = Annotated[str, Field(max_length=20000)]


class Found(Told):
    """A condition of the last round."""

    key: Text
    kind: Kind
    severity: Severity
    state: Literal["fail", "wait", "warn"]
    subject: Text
    certificates: tuple[Text, ...] = ()
    target: Text | None = None
    since: Moment
    what: Text
    now: Text
    hint: Text
    act_by: Moment | None = None
    ripe: bool = True

    def condition(self) -> Condition:
        return Condition(**self.__dict__)


class Row(Told):
    """A condition that was told on a way."""

    key: Text
    way: Text
    kind: Text
    severity: Severity
    subject: Text
    what: Text
    since: Moment
    first: Moment
    told: Moment


class State(Told):
    """The file. `about`: the inventory that it belongs to."""

    certbroker_watch: Literal[1]
    about: Text
    found: tuple[Found, ...] = ()
    told: tuple[Row, ...] = ()
    inventory: Inventory | None = None


class Memory:
    """`before` and `told` are as of the last round; `keep` takes those of this one."""

    def __init__(self, state: State, path: Path | None) -> None:
        self._path = path
        self._about = state.about
        self.inventory = state.inventory
        self.before = tuple(each.condition() for each in state.found)
        self._told = {(row.key, row.way): AlertRow(**row.__dict__) for row in state.told}

    @classmethod
    def open(cls, path: Path | None, about: str) -> Self:
        """A file that is not there, or empty, remembers nothing. Raises UsageError if it cannot be read, or is something else:
        it is left as it is then."""
        if path is None:
            return cls(State(certbroker_watch=1, about=about), None)
        try:
            text = path.read_bytes()
        except FileNotFoundError:
            text = b""
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror or error}") from None
        if not text.strip():
            return cls(State(certbroker_watch=1, about=about), path)
        hint = "name a file of its own with --state; one that is not there is made"
        try:
            state = State.model_validate_json(text)
        except ValidationError as error:
            place = ".".join(map(str, error.errors(include_url=False)[0]["loc"]))
            raise UsageError(
                f"{path} holds nothing that this watcher wrote{place and f' ({place})'}", hint=hint
            ) from None
        if state.about != about:
            raise UsageError(f"{path} belongs to the watcher of {state.about}", hint=hint)
        return cls(state, path)

    @property
    def told(self) -> tuple[AlertRow, ...]:
        return tuple(self._told.values())

    def tell(self, row: AlertRow) -> None:
        """It was told."""
        self._told[row.key, row.way] = row

    def over(self, row: AlertRow) -> None:
        """That it is over was told."""
        self._told.pop((row.key, row.way), None)

    def keep(self, found: Iterable[Condition], inventory: Inventory | None, now: datetime) -> None:
        """Raises OSError if it cannot be written. What lasts is told daily: what was told long ago is on no way any more."""
        self._told = {at: row for at, row in self._told.items() if now - row.told < FORGOTTEN}
        self.before = tuple(found)
        self.inventory = inventory
        if self._path is None:
            return
        state = State(
            certbroker_watch=1,
            about=self._about,
            found=tuple(Found.model_validate(_members(each)) for each in self.before),
            told=tuple(Row.model_validate(_members(row)) for row in self.told),
            inventory=inventory,
        )
        whole.put(self._path, state.model_dump_json(exclude_defaults=True).encode() + b"\n", 0o600)


def _members(value: Condition | AlertRow) -> dict[str, object]:
    return {name: getattr(value, name) for name in value.__dataclass_fields__}
