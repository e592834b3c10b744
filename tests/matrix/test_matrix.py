"""Every provider call of both adapters, as runs really make it, times everything that can go wrong with it.

Each cell is a run of `certbroker renew` in which one call goes wrong, and at most two more after the trouble is over. Whatever it
was: the certificate is committed in the end, or put back, or the old one is served; nothing is ordered; and every edge serves
something valid at every moment, save the one that the trouble itself breaks.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from certbroker.testkit.simulator import Request
from tests.golden import golden
from tests.matrix.faults import TROUBLES, End, Trouble, label, needs
from tests.matrix.scenes import SCENES, Scene
from tests.matrix.stage import NAMES, Stage, stage

MORE_RUNS = 2
LABEL = 44
CELL = 14
"""How wide the columns are."""

LEGEND = """\
A row is a call that a run makes, a column what goes wrong with it in that run. A cell says how the run ends, and how many more
it takes until the wanted version is proven at every edge (in a restore: until the version before is back at every edge; in a
prune: until what nobody needs is gone).

  committed  every edge serves the wanted version      failed     not pushed; what was there before is served
  restored   what was there before is served again     restoring  it is being put back
  verifying  pushed, not seen at every edge yet        waiting    Fly wants a proof of ownership
  gone, left what nobody needs any more is removed, or there still
  .          means nothing for this call

  done: the call took effect. lie: it says it did, and did not. late: edges follow five minutes later.
  one edge: no other edge hears of it until the trouble is over. breaks one: an edge speaks no TLS for what is new to it.
"""


class Play:
    """One scene on a stage, played over and over again from the same moment."""

    def __init__(self, made: Stage, scene: Scene) -> None:
        self.stage = made
        self.scene = scene
        self.platform = made.platforms[scene.platform]
        self.versions = len(made.store.versions("main"))
        self.version = made.store.versions("main")[0]
        self.before = {name: self.platform.edges.fingerprints(name) for name in NAMES}
        self._restart = made.remember()

    def calls(self) -> list[Request]:
        """What the run does if nothing goes wrong."""
        self._start()
        self.run()
        assert self.word() == self.scene.ends
        return list(self.platform.simulator.requests)

    def cell(self, trouble: Trouble, number: int) -> str:
        """The words of one cell, after everything was judged."""
        self._start()
        end = self._arm(trouble, number)
        self.run()
        first = word = self.word()
        self._sound()
        end()
        more = 0
        while not self.over(word) and more < MORE_RUNS:
            more += 1
            self.stage.later(self.scene.every)
            self.run()
            word = self.word()
            self._sound()
        assert self.over(word), f"after {more} more runs it is {word}: {self.stage.reports[-1].troubles}"
        return f"{first} +{more}" if more else first

    def run(self) -> None:
        self.stage.renew(yes=True)

    def over(self, word: str) -> bool:
        return word in ("committed", self.scene.ends)

    def word(self) -> str:
        """The worst phase of its names; of a prune, whether something is left."""
        phases = self.stage.phases(self.scene.target, self.version)
        assert set(phases) == set(NAMES)
        worst = ("restoring", "failed", "restored", "waiting", "verifying", "pending", "committed")
        word = min(phases.values(), key=worst.index)
        return self._litter() if self.scene.name == "prune" and word == "committed" else word

    def _litter(self) -> str:
        if self.scene.platform == "fly":
            return "gone"
        estate = self.platform.simulator.estate
        return "gone" if len(estate.keys) == len(estate.certificates) == 1 else "left"

    def _start(self) -> None:
        self._restart()
        self.scene.begin(self.stage)

    def _arm(self, trouble: Trouble, number: int) -> End:
        if not trouble.at_call:
            return trouble.begin(self.platform, number)
        left = [number]
        ends: list[End] = []

        def on_call(request: Request) -> None:
            left[0] -= 1
            if left[0] == -1:
                ends.append(trouble.begin(self.platform, number))

        self.stage.on_call = on_call

        def end() -> None:
            for each in ends:
                each()

        return end

    def _sound(self) -> None:
        """What holds after every run, and what its phases claim is so."""
        assert self.platform.edges.wrong == []
        assert len(self.stage.store.versions("main")) == self.versions, "something was ordered"
        assert self.stage.store.history(kind="order-started") == []
        for name, phase in self.stage.phases(self.scene.target, self.version).items():
            shown = self.platform.edges.fingerprints(name)
            if phase == "committed":
                assert shown == {self.version.fingerprint}
            elif phase == "restored":
                assert shown == self.before[name]
            elif phase == "failed":
                assert shown <= {self.version.fingerprint, *self.before[name]}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("platform", ["fastly", "fly"])
def test_whatever_goes_wrong_with_a_call_the_next_two_runs_mend(platform: str, tmp_path: Path) -> None:
    lines = [LEGEND]
    asked: set[str] = set()
    for number, scene in enumerate(each for each in SCENES if each.platform == platform):
        with stage(tmp_path / str(number)) as made:
            scene.prepare(made)
            lines += table(Play(made, scene), asked)
    text = "\n".join(lines) + "\n"
    print(text)  # noqa: T201 - the table is what this test is about
    golden(f"matrix/{platform}.txt", text)


def table(play: Play, asked: set[str]) -> Iterator[str]:
    """One scene. `asked`: reads that an earlier table has: they are tried again only where something waits to be put back."""
    yield f"{play.scene.name}"
    rows = list(_rows(play, asked))
    if rows:
        yield f"  {'':<{LABEL}}" + "".join(f"{each.name:<{CELL}}" for each in TROUBLES)
    else:
        yield "  no call is made"
    for number, call, kind in rows:
        cells = [_cell(play, trouble, number, call, kind) for trouble in TROUBLES]
        yield f"  {kind:<{LABEL}}" + "".join(f"{cell:<{CELL}}" for cell in cells).rstrip()
    yield ""


def _rows(play: Play, asked: set[str]) -> Iterator[tuple[int, Request, str]]:
    """The number of each call that is tried, the call, and what it is called. The second name is tried in renewals alone."""
    here: list[str] = []
    for number, call in enumerate(play.calls()):
        kind = label(call, play.platform.simulator)
        here.append(kind)
        new = call.write or play.scene.first > 0 or kind.replace(NAMES[1], NAMES[0]) not in asked
        if number < play.scene.first or not new or (kind.endswith(NAMES[1]) and not play.scene.both):
            continue
        asked.add(kind)
        yield number, call, kind + (" again" if kind in here[play.scene.first : -1] else "")


def _cell(play: Play, trouble: Trouble, number: int, call: Request, kind: str) -> str:
    if trouble.needs not in needs(call):
        return "."
    try:
        return play.cell(trouble, number)
    except AssertionError as error:
        raise AssertionError(f"{play.scene.name}: {kind}, {trouble.name}: {error}") from error
