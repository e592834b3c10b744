"""What came of a round of the watcher, on paper."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from certbroker.cli.paper import Paper, counted
from certbroker.errors import UsageError
from certbroker.jsonable import jsonable

if TYPE_CHECKING:
    from certbroker.watch.rounds import Round, Sent


def show(
    paper: Paper, done: Round, source: str, *, as_json: bool, known: Collection[str] = (), lines: bool = False
) -> None:
    """`known`: conditions that were shown before. `lines`: one for each round, with its moment."""
    from certbroker.notices import minute

    if as_json:
        value = _value(done, source)
        paper.line(json.dumps(jsonable(value), ensure_ascii=False)) if lines else paper.json(value)
        return
    if not lines:
        _table(paper, done)
    _troubles(paper, done, known)
    for note in done.notes:
        paper.trouble(note, kind="note")
    paper.line((f"{minute(done.at)}: " if lines else "") + _truth(done))


def show_test(paper: Paper, sent: Sequence[Sent], *, as_json: bool) -> int:
    """Whether a test arrived on every way; returns the exit code."""
    if not sent:
        raise UsageError("nobody is named to tell", hint="add --page, --tell or --heartbeat")
    code = 1 if any(each.error for each in sent) else 0
    if as_json:
        paper.json({"sent": sent, "exit_code": code})
        return code
    for each in sent:
        sign = paper.sign("fail" if each.error else "ok")
        paper.line(f"{sign} {each.way}: {each.error or 'sent; look whether it arrived'}")
    return code


def _troubles(paper: Paper, done: Round, known: Collection[str]) -> None:
    from certbroker.watch.judging import UNREAD

    for each in done.conditions:
        if each.key in known:
            continue
        what = [f"{each.subject}: {each.what}"]
        if done.error is not None and each.key == UNREAD:
            what = done.error.what.splitlines()  # every mistake of it
        for line in what[:-1]:
            paper.trouble(line)
        paper.trouble(what[-1], each.now, each.hint)


def _table(paper: Paper, done: Round) -> None:
    """What was looked at, by target, the worst first."""
    good, all_ = _counts(done)
    fine = {target: good[target] == many for target, many in all_.items()}
    rows = [
        (paper.sign("ok" if fine[target] else "fail"), target, f"{good[target]} of {counted(all_[target], 'look')}")
        for target in sorted(all_, key=lambda target: (fine[target], target))
    ]
    if rows:
        paper.table(("", "target", "as it should be"), rows)


def _counts(done: Round) -> tuple[Mapping[str, int], Mapping[str, int]]:
    """Looks that agree, and all of them, by target."""
    good = Counter(look.at.target for look in done.judgement.good)
    return good, good + Counter(each.look.at.target for each in done.judgement.wrong)


def _truth(done: Round) -> str:
    from certbroker.notices import minute

    good, all_ = _counts(done)
    fine, many = sum(good.values()), sum(all_.values())
    parts = []
    if done.conditions:
        verb = "needs" if len(done.conditions) == 1 else "need"
        parts.append(f"{counted(len(done.conditions), 'thing')} {verb} somebody")
    if done.inventory is None:
        parts.append("nothing was looked at")
    elif not many:
        parts.append("no edge is known to look at")
    else:
        some = f"all {counted(many, 'look')}" if fine == many else f"{fine} of {counted(many, 'look')}"
        parts.append(f"{some} at {counted(len(all_), 'target')} see what should be served")
    if done.judgement.aside:
        six = counted(done.judgement.aside, "IPv6 address", "IPv6 addresses")
        parts.append(f"{six} not looked at: no way from here")
    if done.inventory is not None:
        kept = ", the last that could be read" if done.error else ""
        parts.append(f"inventory of {minute(done.inventory.written)}{kept}")
    return " · ".join(parts) + (f" (exit {done.exit_code})" if done.exit_code else "")


def _value(done: Round, source: str) -> dict[str, Any]:
    told = done.inventory
    good, all_ = _counts(done)
    return {
        "at": done.at,
        "inventory": {
            "source": source,
            "host": told.host if told else None,
            "written": told.written if told else None,
            "next_writing": told.next_writing if told else None,
            "error": done.error.what if done.error else None,
        },
        "looks": sum(all_.values()),
        "good": sum(good.values()),
        "aside": done.judgement.aside,
        "wrong": [
            {
                "certificate": each.look.entry.name,
                "target": each.look.at.target,
                "name": each.look.seen.name,
                "edge": each.look.seen.where,
                "verdict": each.look.seen.verdict,
                "fingerprint": each.look.seen.fingerprint,
                "ends": each.look.seen.ends,
                "what": each.words,
            }
            for each in done.judgement.wrong
        ],
        "conditions": done.conditions,
        "sent": done.sent,
        "notes": done.notes,
        "exit_code": done.exit_code,
    }
