"""Another allocator of Arrow's for as long as somebody needs it, and the usual one before and afterwards."""

from __future__ import annotations

import pyarrow as pa
import pytest

from app.lake.arrow_memory import thrifty_memory_pool


def test_the_usual_one_is_back_when_the_last_has_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ARROW_DEFAULT_MEMORY_POOL", raising=False)
    usual = pa.default_memory_pool().backend_name
    assert "jemalloc" in pa.supported_memory_backends()
    with thrifty_memory_pool():
        with thrifty_memory_pool():
            assert pa.default_memory_pool().backend_name == "jemalloc"
        assert pa.default_memory_pool().backend_name == "jemalloc"
    assert pa.default_memory_pool().backend_name == usual


def test_who_has_chosen_one_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARROW_DEFAULT_MEMORY_POOL", "system")
    usual = pa.default_memory_pool().backend_name
    with thrifty_memory_pool():
        assert pa.default_memory_pool().backend_name == usual
