"""What SQLAlchemy makes of a statement is kept for the whole process, not for one engine.

The product opens one store in a process. Tests open thousands, and for each of them every statement would be turned into SQL
anew: a quarter of all the time they take. By the dialect's name, for each engine has a dialect object of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any

from sqlalchemy import Connection, Engine, event

Key = tuple[Any, ...]


class Compiled(MutableMapping[Key, Any]):
    """The `compiled_cache` of every connection. Several threads may use it: it only ever grows, by whole entries."""

    def __init__(self) -> None:
        self._kept: dict[Key, Any] = {}

    def __getitem__(self, key: Key) -> Any:
        return self._kept[_shared(key)]

    def __setitem__(self, key: Key, value: Any) -> None:
        self._kept[_shared(key)] = value

    def __delitem__(self, key: Key) -> None:
        del self._kept[_shared(key)]

    def __iter__(self) -> Iterator[Key]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)


def _shared(key: Key) -> Key:
    dialect, *rest = key
    return (dialect.name, *rest)


def keep_for_all_engines() -> None:
    """From now on, in this process."""
    cache = Compiled()

    def use(connection: Connection) -> None:
        connection.execution_options(compiled_cache=cache)

    event.listen(Engine, "engine_connect", use)
