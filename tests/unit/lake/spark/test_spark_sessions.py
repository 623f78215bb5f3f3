"""Where there is no Spark, in the ways that need none to be told."""

from __future__ import annotations

import sys
import threading

import pytest

from app.errors import InvalidSettingError, MissingExtraError
from app.lake.spark.session import SparkAddress, spark_session
from app.settings import load_settings


def test_without_the_client_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "pyspark"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyspark", None)

    with (
        pytest.raises(MissingExtraError, match=r"pip install 'stratigraph\[spark\]'"),
        spark_session("sc://127.0.0.1:1", threading.Event()),
    ):
        pass


@pytest.mark.parametrize("remote", ["http://host", "sc://", "spark://host:7077", "sc:// /;token=secret"])
def test_an_address_that_is_none_is_refused_without_showing_it(remote: str) -> None:
    with pytest.raises(InvalidSettingError, match="STRATIGRAPH_SPARK_REMOTE") as refused:
        load_settings({"STRATIGRAPH_SPARK_REMOTE": remote})
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("remote", ["sc://host:port/;token=secret", "sc://host/;token=secret;x"])
def test_an_address_that_only_the_client_refuses_is_not_shown_either(remote: str) -> None:
    pytest.importorskip("pyspark.sql.connect.session", exc_type=ImportError)
    with (
        pytest.raises(InvalidSettingError, match="STRATIGRAPH_SPARK_REMOTE") as refused,
        spark_session(remote, threading.Event()),
    ):
        pass
    assert "secret" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_an_address_with_a_token_is_shown_nowhere() -> None:
    settings = load_settings({"STRATIGRAPH_SPARK_REMOTE": "sc://host:15002/;token=secret"})
    address = SparkAddress(remote=settings.spark_remote or "", catalog="lake")
    assert "secret" not in repr(settings) + repr(address)
