"""Laws of names and schemas."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.history import History
from app.domain.names import DatasetName, escape_key, unescape_key
from app.domain.schemas import describe_change
from app.domain.tags import check_ref_name, find_convention, find_protection, warnings_for
from app.domain.versions import (
    resolve_text,
)
from app.errors import (
    Invalid,
    NotFound,
)
from tests.strategies import (
    DATASET,
    make_field,
    make_schema,
)

MODERATE = settings(max_examples=30, deadline=None)


@MODERATE
@given(name=st.text(max_size=20) | st.from_regex(r"[a-z0-9_.\-/]{0,140}", fullmatch=True))
def test_name_is_refused_or_can_be_used_to_refer_to_its_tag(name):
    warnings_for(name)
    find_convention(name)
    find_protection(name)
    try:
        check_ref_name("tag", name)
    except Invalid:
        return
    history = History(snapshots={}, refs={})
    with pytest.raises(NotFound) as caught:
        resolve_text(f"tag:{name}", history, DATASET)
    assert caught.value.code == "TAG_NOT_FOUND"


@MODERATE
@given(text=st.text(max_size=20) | st.from_regex(r"[a-z.]{1,9}\.[a-z./]{0,5}", fullmatch=True))
def test_dataset_names_are_refused_or_round_trip(text):
    try:
        name = DatasetName.parse(text)
    except Invalid:
        return
    assert str(name) == text
    assert DatasetName.checked(name.namespace, name.name) == name


columns = st.lists(
    st.tuples(st.integers(1, 6), st.sampled_from("abcdef"), st.sampled_from(["int", "long"]), st.booleans()),
    unique_by=(lambda column: column[0], lambda column: column[1]),
    max_size=5,
)


def schema_of(schema_id, chosen):
    return make_schema(
        schema_id, *(make_field(number, name, kind, required=need) for number, name, kind, need in chosen)
    )


@MODERATE
@given(before=columns, after=columns)
def test_description_is_empty_exactly_where_the_fields_agree(before, after):
    phrases = describe_change(schema_of(0, before), schema_of(1, after))

    assert (phrases == []) == (sorted(before) == sorted(after))
    came = {number for number, *_ in after} - {number for number, *_ in before}
    went = {number for number, *_ in before} - {number for number, *_ in after}
    assert sum(phrase.startswith("adds ") for phrase in phrases) == len(came)
    assert sum(phrase.startswith("drops ") for phrase in phrases) == len(went)


@given(st.text())
def test_a_text_comes_back_from_a_key(text: str) -> None:
    escaped = escape_key(text)

    assert not set("|@") & set(escaped)
    assert unescape_key(escaped) == text
