"""Settings from the environment: read once, checked, frozen."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from app.errors import InvalidSettingError
from app.settings import PREFIX, Settings, env_name, load_settings


def test_defaults_need_no_environment():
    settings = load_settings({})

    assert settings.home == Path("~/.stratigraph").expanduser()
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert settings.is_database_embedded
    assert settings.is_catalog_embedded
    assert settings.production_namespaces == ("gold", "platinum")


@pytest.mark.parametrize(
    ("case", "name", "text", "value"),
    [
        ("number", "port", "9000", 9000),
        ("free port", "port", "0", 0),
        ("fraction", "lock_timeout_s", "2.5", 2.5),
        ("yes", "demo_on_serve", "true", True),
        ("no", "demo_on_serve", "false", False),
        ("text", "catalog", "prod", "prod"),
        ("list", "production_namespaces", " gold , eu.gold,", ("gold", "eu.gold")),
        ("empty list", "production_namespaces", "", ()),
        ("list of places", "artifact_roots", "s3://a/b, /data/models", ("s3://a/b", "/data/models")),
        ("path", "home", "/data/../data/s", Path("/data/../data/s")),
        ("url", "database_url", "postgresql://u:p@h:5432/d", "postgresql://u:p@h:5432/d"),
        ("short url", "database_url", "postgres://h/d", "postgres://h/d"),
        ("level", "log_level", "debug", "debug"),
    ],
)
def test_variable_sets_its_field(case, name, text, value):
    assert getattr(load_settings({env_name(name): text}), name) == value


def test_home_is_absolute_and_knows_the_users_own(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    assert load_settings({"STRATIGRAPH_HOME": "~/lake"}).home == tmp_path / "lake"
    assert load_settings({"STRATIGRAPH_HOME": "lake"}).home == tmp_path / "lake"
    assert load_settings({"STRATIGRAPH_HOME": "lake"}).warehouse == tmp_path / "lake" / "warehouse"


def test_artifacts_are_in_the_home_unless_places_are_set(tmp_path):
    assert load_settings({"STRATIGRAPH_HOME": str(tmp_path)}).allowed_artifact_roots == (str(tmp_path / "artifacts"),)
    assert load_settings({"STRATIGRAPH_ARTIFACT_ROOTS": "s3://a"}).allowed_artifact_roots == ("s3://a",)


def test_own_database_and_catalog_replace_the_embedded_ones():
    settings = load_settings({"STRATIGRAPH_DATABASE_URL": "postgresql://h/d", "STRATIGRAPH_CATALOG": "prod"})

    assert not settings.is_database_embedded
    assert not settings.is_catalog_embedded


def test_environment_of_the_process_is_the_default(monkeypatch):
    monkeypatch.setenv("STRATIGRAPH_PORT", "8123")

    assert load_settings().port == 8123


def test_override_comes_before_the_environment_unless_it_is_none():
    env = {"STRATIGRAPH_PORT": "1", "STRATIGRAPH_HOST": "::1"}

    settings = load_settings(env, port=2, host=None)

    assert (settings.port, settings.host) == (2, "::1")


def test_variables_of_others_do_not_matter():
    assert load_settings({"PORT": "x", "PYICEBERG_CATALOG__PROD__URI": "http://h"}) == load_settings({})


@pytest.mark.parametrize(
    ("case", "variable", "meant"),
    [
        ("letters swapped", "STRATIGRAPH_PROT", "STRATIGRAPH_PORT"),
        ("far from all", "STRATIGRAPH_FOO", None),
        ("plural", "STRATIGRAPH_CATALOGS", "STRATIGRAPH_CATALOG"),
        ("small letters", "STRATIGRAPH_Port", "STRATIGRAPH_PORT"),
        ("prefix alone", "STRATIGRAPH_", None),
    ],
)
def test_unknown_variable_is_refused(case, variable, meant):
    with pytest.raises(InvalidSettingError) as caught:
        load_settings({variable: "1"})

    assert caught.value.fields["setting"] == variable
    hint = "see docs/settings.md" if meant is None else f"did you mean {meant}?"
    assert hint in caught.value.message


@pytest.mark.parametrize(
    ("case", "variable", "text"),
    [
        ("port that is no number", "STRATIGRAPH_PORT", "http"),
        ("port out of range", "STRATIGRAPH_PORT", "65536"),
        ("negative port", "STRATIGRAPH_PORT", "-1"),
        ("empty port", "STRATIGRAPH_PORT", ""),
        ("empty catalog", "STRATIGRAPH_CATALOG", ""),
        ("another database", "STRATIGRAPH_DATABASE_URL", "mysql://h/d"),
        ("empty database", "STRATIGRAPH_DATABASE_URL", ""),
        ("neither true nor false", "STRATIGRAPH_DEMO_ON_SERVE", "maybe"),
        ("no time", "STRATIGRAPH_LOCK_TIMEOUT_S", "0"),
        ("not a number", "STRATIGRAPH_LOCK_TIMEOUT_S", "nan"),
        ("for ever", "STRATIGRAPH_LEASE_S", "inf"),
        ("no days", "STRATIGRAPH_ROLLBACK_KEEP_DAYS", "0"),
        ("half a day", "STRATIGRAPH_ROLLBACK_KEEP_DAYS", "0.5"),
        ("empty home", "STRATIGRAPH_HOME", ""),
        ("home of nobody", "STRATIGRAPH_HOME", "~nobody-of-that-name/lake"),
        ("empty host", "STRATIGRAPH_HOST", " "),
        ("empty places", "STRATIGRAPH_ARTIFACT_ROOTS", ""),
        ("no places", "STRATIGRAPH_ARTIFACT_ROOTS", ","),
        ("level that is none", "STRATIGRAPH_LOG_LEVEL", "LOUD"),
        ("level and line break", "STRATIGRAPH_LOG_LEVEL", "info\n"),
    ],
)
def test_bad_value_is_refused_with_the_name_of_its_variable(case, variable, text):
    with pytest.raises(InvalidSettingError) as caught:
        load_settings({variable: text})

    assert caught.value.fields["setting"] == variable
    assert variable in caught.value.message


def test_password_of_a_bad_database_url_is_told_to_nobody():
    with pytest.raises(InvalidSettingError) as caught:
        load_settings({"STRATIGRAPH_DATABASE_URL": "postgresql+asyncpg://u:secret@h/d"})

    assert "secret" not in caught.value.message
    assert caught.value.__suppress_context__
    assert "secret" not in repr(load_settings({"STRATIGRAPH_DATABASE_URL": "postgresql://u:secret@h/d"}))


def test_bad_override_is_refused_like_a_variable():
    with pytest.raises(InvalidSettingError) as caught:
        load_settings({}, port=-1)

    assert caught.value.fields["setting"] == "STRATIGRAPH_PORT"


def test_override_that_is_no_setting_is_refused():
    with pytest.raises(InvalidSettingError) as caught:
        load_settings({}, ports=1)

    assert caught.value.fields["setting"] == "STRATIGRAPH_PORTS"


@pytest.mark.parametrize("name", list(Settings.model_fields))
def test_settings_are_frozen(name):
    settings = load_settings({})

    with pytest.raises(ValidationError):
        setattr(settings, name, getattr(settings, name))


@pytest.mark.parametrize("name", list(Settings.model_fields))
def test_every_setting_is_described(name):
    assert Settings.model_fields[name].description
    assert env_name(name) == PREFIX + name.upper()
