"""docs/settings.md has each setting, its default, and no other."""

import re
from typing import Any

import pytest

from app.settings import Settings, env_name
from tests.repo.paths import DOCS

ROW = re.compile(r"^\| `(STRATIGRAPH_\w+)` \| (.+?) \| (.+) \|$", re.MULTILINE)


def documented() -> dict[str, str]:
    """Default of each documented variable, as written."""
    return {variable: default for variable, default, _ in ROW.findall((DOCS / "settings.md").read_text())}


def test_documented_are_all_settings_and_no_others():
    assert sorted(documented()) == sorted(env_name(field) for field in Settings.model_fields)


def test_each_setting_is_documented_once():
    found = [variable for variable, _, _ in ROW.findall((DOCS / "settings.md").read_text())]
    assert len(found) == len(set(found))


@pytest.mark.parametrize("field", Settings.model_fields)
def test_documented_default_is_the_default(field: str):
    default = Settings.model_fields[field].default
    shown = documented()[env_name(field)]
    assert shown == "not set" if default is None else shown.startswith(f"`{as_variable(default)}`")


def as_variable(value: Any) -> str:
    """A value as one would set it."""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(value) if isinstance(value, tuple) else str(value)
