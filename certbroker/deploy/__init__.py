"""Bringing a version to a target and proving it there."""

from certbroker.deploy.saga import Saga
from certbroker.deploy.target import Target, open_target

__all__ = ["Saga", "Target", "open_target"]
