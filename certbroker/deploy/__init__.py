"""Bringing a version to a target and proving it there."""
