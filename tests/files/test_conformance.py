"""The files adapter is a provider. It speaks no HTTP: how it behaves is all there is to it."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from certbroker.testkit.conformance import Behaviour, NewRig
from tests.files.rig import files_rig


class TestFiles(Behaviour):
    @pytest.fixture
    def new_rig(self, tmp_path: Path) -> NewRig:
        return functools.partial(files_rig, tmp_path, reload=["/bin/true"])
