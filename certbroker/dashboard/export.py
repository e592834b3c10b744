"""The same pages as files, for people without a server. A folder that can be opened from a disk or copied anywhere."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from certbroker.dashboard import pages
from certbroker.dashboard.links import Files, file_of
from certbroker.dashboard.paint import Painter
from certbroker.dashboard.source import Source
from certbroker.errors import UsageError
from certbroker.jsonable import jsonable
from certbroker.standing import PAGE


def export(source: Source, folder: Path) -> int:
    """Write every page there, with a JSON file beside each; returns how many. Raises UsageError where that cannot be done.

    What an earlier export left is written over; nothing else in the folder is touched.
    """
    painter = Painter()
    many = 0
    try:
        with as_file(files("certbroker.dashboard") / "static") as static:
            shutil.copytree(static, folder / "static", dirs_exist_ok=True)
        for kind, name, offset, page in _all(source):
            file = folder / file_of(kind, name, offset)
            file.parent.mkdir(parents=True, exist_ok=True)
            links = Files("../" * file_of(kind, name).count("/"))
            file.write_text(painter.paint(kind, page, source, links), encoding="utf-8")
            value = json.dumps(jsonable(page), ensure_ascii=False, indent=1)
            file.with_suffix(".json").write_text(value, encoding="utf-8")
            many += 1
    except OSError as error:
        raise UsageError(
            f"the pages cannot be written to {folder}: {error.strerror or error}",
            hint="name a folder that you may write",
        ) from None
    return many


def _all(source: Source) -> Iterator[tuple[str, str, int, Any]]:
    """kind, name, offset, page."""
    overview = pages.overview_page(source)
    for offset in range(0, max(overview.overview.total, 1), PAGE):
        yield "overview", "", offset, pages.overview_page(source, offset=offset)
        yield "timeline", "", offset, pages.timeline_page(source, offset=offset)
    for name in source.config.certificates:
        yield "certificates", name, 0, pages.certificate_page(source, name)
    for name in source.config.targets:
        page = pages.target_page(source, name)
        total = page.total if page else 0
        for offset in range(0, max(total, 1), PAGE):
            yield "targets", name, offset, pages.target_page(source, name, offset=offset)
    yield "readiness", "", 0, pages.readiness_page(source)
    yield "runs", "", 0, pages.runs_page(source)
    yield "history", "", 0, pages.history_page(source)
