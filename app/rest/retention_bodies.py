"""The JSON bodies that `…/retention` and `…/holds` take."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator

from app.rest.bodies import Body
from app.rest.registry_bodies import Dataset
from app.services.retention_operations import PolicyOverrides

KIB = 1024
RUN_BYTES = HOLD_BYTES = 64 * KIB


class PolicyBody(Body):
    """How much history is kept; what is left out is as the server has it."""

    keep_last_n: int | None = None
    keep_days: int | None = None
    keep_tagged: bool | None = None
    production_keep_days: int | None = None

    def overrides(self, *, allow_zero_days: bool) -> PolicyOverrides:
        """What of the policy is asked for, as the services take it."""
        return PolicyOverrides(
            keep_last_n=self.keep_last_n,
            keep_days=self.keep_days,
            keep_tagged=self.keep_tagged,
            production_keep_days=self.production_keep_days,
            allow_zero_days=allow_zero_days,
        )


class RunRetentionBody(Body):
    """What is to expire; a dry run unless `dry_run` is false."""

    policy: PolicyBody | None = None
    dry_run: bool | None = None
    allow_zero_days: bool | None = None
    reason: str | None = None


class SweepBody(RunRetentionBody):
    """The same, and of which datasets."""

    dataset: Dataset | None = None
    namespace: str | None = None
    all: bool | None = None


class PlaceHoldBody(Body):
    """A version to keep, and what for."""

    reason: str
    version: Annotated[str, BeforeValidator(lambda value: str(value) if type(value) is int else value)] | None = None


class ReleaseHoldBody(Body):
    """Why a hold is needed no more."""

    reason: str
