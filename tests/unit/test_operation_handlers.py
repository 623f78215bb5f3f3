"""What a handler tells of its progress, and hears."""

from __future__ import annotations

import pytest

from app.domain.operations import OperationCancelledError, Standing
from app.services.operation_handlers import Progress


def test_progress_is_where_it_was_reported_last() -> None:
    progress = Progress()
    progress.check()
    progress.report(0.5, "half")
    progress.report(0.75)

    assert progress.standing == Standing(progress=0.75, message="half")


def test_what_shall_not_go_on_hears_of_it_whenever_it_reports() -> None:
    progress = Progress()
    progress.stop()

    for report in (progress.check, lambda: progress.report(0.9)):
        with pytest.raises(OperationCancelledError):
            report()
    assert progress.standing == Standing()
