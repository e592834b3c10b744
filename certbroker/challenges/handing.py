"""http-01 by a target: the place that serves the names answers for them too."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from certbroker.challenges.solver import SolverContext
from certbroker.config import TargetName
from certbroker.errors import Rejected
from certbroker.model import Standing
from certbroker.provider import AnswersHttp01, ChecksCredentials


class TargetSettings(BaseModel):
    """`[solver.NAME]` with `type = "target"`."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    target: TargetName = Field(description="the target that port 80 of the names leads to; it must be able to answer")


class TargetSolver:
    """Hands the answer on; the target says how it is given."""

    settings: ClassVar[type[BaseModel]] = TargetSettings
    puts: ClassVar[Literal["http"]] = "http"

    def __init__(self, target: str, context: SolverContext) -> None:
        self._target = target
        self._context = context

    @classmethod
    def open(cls, settings: TargetSettings, context: SolverContext) -> Self:
        return cls(settings.target, context)

    def present(self, name: str, token: str, key_authorization: str) -> str:
        self._provider().answer_http01(name, token, key_authorization)
        return ""

    def clean_up(self, name: str, token: str, key_authorization: str, handle: str | None) -> None:
        self._provider().forget_http01(name, token, key_authorization)

    def check(self, *, write: bool = False) -> Standing:
        """What the target says of itself."""
        provider = self._provider()
        provider.can_answer_http01()
        if isinstance(provider, ChecksCredentials):
            return provider.check(write=write)
        return Standing(name=f"target {self._target}")

    def _provider(self) -> AnswersHttp01:
        provider = self._context.provider(self._target)
        if not isinstance(provider, AnswersHttp01):
            raise Rejected(
                f"the target {self._target} cannot answer http-01",
                hint="use another solver for these names, or another challenge",
            )
        return provider
