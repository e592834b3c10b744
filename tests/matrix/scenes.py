"""The moments in which a platform is called: the scenes whose calls are the rows of the matrix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from tests.matrix.stage import HOUR, NAMES, Stage, certificate


@dataclass
class Scene:
    """One moment before a run, on one target.

    Attributes:
        begin: what is wrong with the world during this scene and after it; done at the start of every cell.
        first: the number of the first call of the run that is this scene's own.
        every: how long after a run the next one comes.
    """

    name: str
    platform: str
    target: str
    prepare: Callable[[Stage], None]
    begin: Callable[[Stage], None] = lambda stage: None
    first: int = 0
    every: timedelta = HOUR
    both: bool = False
    """Calls about the second name are rows too."""
    ends: str = "committed"
    """How the run ends if nothing goes wrong."""


def _edges(stage: Stage, platform: str) -> list[str]:
    return list(stage.platforms[platform].edges.addresses)


def _nothing_there(target: str, *, publish: bool = True) -> Callable[[Stage], None]:
    def prepare(stage: Stage) -> None:
        _file(stage, target, publish=publish)
        stage.issue()

    return prepare


def _file(stage: Stage, target: str, *, publish: bool = True) -> None:
    edit = ("", "") if publish else ('ownership = "publish"', 'ownership = "print"')
    stage.configure(certificate(target), edit=edit)


def _one_served(target: str) -> Callable[[Stage], None]:
    def prepare(stage: Stage) -> None:
        _file(stage, target)
        stage.issue()
        stage.prove(*NAMES)
        stage.renew()
        stage.later()
        stage.issue()

    return prepare


def _two_served(target: str) -> Callable[[Stage], None]:
    def prepare(stage: Stage) -> None:
        _one_served(target)(stage)
        stage.renew()
        stage.later(timedelta(hours=3))

    return prepare


def _waited(stage: Stage) -> None:
    """The upload waits for a record; a person has published it by now."""
    _nothing_there("fly-blue", publish=False)(stage)
    assert stage.renew().exit_code == 3
    stage.prove(*NAMES)
    stage.later(timedelta(minutes=2))  # Fly has not looked again by itself


def _managed(stage: Stage) -> None:
    """Fly serves its own certificates; ours is to come."""
    _file(stage, "fly-blue")
    for name in NAMES:
        stage.platforms["fly"].simulator.manage("site-blue", name)
    stage.prove(*NAMES)
    stage.issue()


def _foreign(stage: Stage) -> None:
    """Somebody else's certificate is served at Fastly; the owner has agreed to replace it."""
    _file(stage, "fastly")
    stage.foreign(*NAMES)
    stage.issue()


def _breaks_an_edge(platform: str) -> Callable[[Stage], None]:
    return lambda stage: stage.platforms[platform].edges.choke(_edges(stage, platform)[0])


SCENES: Final = (
    Scene("renewal", "fastly", "fastly", _one_served("fastly"), both=True),
    Scene("first push", "fastly", "fastly", _nothing_there("fastly")),
    Scene("restore ours", "fastly", "fastly", _one_served("fastly"), _breaks_an_edge("fastly"), 13, ends="restored"),
    Scene("restore theirs", "fastly", "fastly", _foreign, _breaks_an_edge("fastly"), 13, ends="restored"),
    Scene("prune", "fastly", "fastly", _two_served("fastly"), every=timedelta(hours=25), ends="gone"),
    Scene("renewal", "fly", "fly-blue", _one_served("fly-blue"), both=True),
    Scene("first push", "fly", "fly-blue", _nothing_there("fly-blue")),
    Scene("ownership waits", "fly", "fly-blue", _waited),
    Scene("restore ours", "fly", "fly-blue", _one_served("fly-blue"), _breaks_an_edge("fly"), 5, ends="restored"),
    Scene("restore Fly's own", "fly", "fly-blue", _managed, _breaks_an_edge("fly"), 5, ends="restored"),
    Scene("prune", "fly", "fly-blue", _two_served("fly-blue"), every=timedelta(hours=25), ends="gone"),
)
"""Fly is never pruned: an upload replaces the one before it."""
