"""The files adapter is a provider."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from certbroker.testkit.conformance import NewRig, ProviderConformance
from tests.files.rig import files_rig


class TestFiles(ProviderConformance):
    @pytest.fixture
    def new_rig(self, tmp_path: Path) -> NewRig:
        return functools.partial(files_rig, tmp_path)


class TestFilesWithReload(ProviderConformance):
    @pytest.fixture
    def new_rig(self, tmp_path: Path) -> NewRig:
        return functools.partial(files_rig, tmp_path, reload=["/bin/true"])
