"""What versions of datasets are read for."""

from __future__ import annotations

from enum import StrEnum


class InputRole(StrEnum):
    """What a version of a dataset was read for."""

    INPUT = "INPUT"
    TRAINING = "TRAINING"
    VALIDATION = "VALIDATION"
    TEST = "TEST"
