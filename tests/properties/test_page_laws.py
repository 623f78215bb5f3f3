"""Laws of pages and cursors."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.pages import PageRequest, cut_page, decode_cursor, encode_cursor
from app.errors import (
    InvalidPageError,
)
from tests.strategies import (
    int64s,
)

MODERATE = settings(max_examples=30, deadline=None)


sorted_numbers = st.lists(st.integers(-50, 50), unique=True, max_size=40).map(sorted)


def cut(items, **request):
    return cut_page(items, PageRequest(**request), kind="numbers", key=lambda number: (number,))


@MODERATE
@given(items=sorted_numbers, size=st.integers(1, 9))
def test_pages_forward_join_to_the_list(items, size):
    seen, cursor = [], None
    while True:
        page = cut(items, first=size, after=cursor)
        assert page.has_previous == bool(seen)
        seen += page.items
        assert page.has_next == (len(seen) < len(items))
        assert page.total == len(items)
        if not page.has_next:
            break
        cursor = page.cursors[-1]
    assert seen == items


@MODERATE
@given(items=sorted_numbers, size=st.integers(1, 9))
def test_pages_backward_join_to_the_list(items, size):
    seen, cursor = [], None
    while True:
        page = cut(items, last=size, before=cursor)
        assert page.has_next == bool(seen)
        seen = [*page.items, *seen]
        assert page.has_previous == (len(seen) < len(items))
        if not page.has_previous:
            break
        cursor = page.cursors[0]
    assert seen == items


@MODERATE
@given(items=sorted_numbers.filter(len), size=st.integers(1, 9), data=st.data())
def test_items_that_come_and_go_neither_repeat_nor_hide_others(items, size, data):
    # given a first page
    page = cut(items, first=size)

    # when items come and go, that of the cursor included, before the rest is fetched
    kept = [item for item in items if data.draw(st.booleans(), label=f"keeps {item}")]
    changed = sorted({*kept, *data.draw(st.lists(st.integers(-50, 50), max_size=5), label="new")})
    rest = cut(changed, first=100, after=page.cursors[-1])
    back = cut(changed, last=100, before=page.cursors[0])

    # then the rest is exactly what lies behind the cursor
    assert list(rest.items) == [item for item in changed if item > page.items[-1]]
    assert list(back.items) == [item for item in changed if item < page.items[0]]


@MODERATE
@given(
    items=sorted_numbers,
    after=st.none() | st.integers(-60, 60),
    before=st.none() | st.integers(-60, 60),
    data=st.data(),
)
def test_page_agrees_with_the_relay_algorithm(items, after, before, data):
    count = {data.draw(st.sampled_from(["first", "last"])): data.draw(st.integers(1, 9))}

    page = cut(
        items,
        after=None if after is None else encode_cursor("numbers", (after,)),
        before=None if before is None else encode_cursor("numbers", (before,)),
        **count,
    )

    expected = [item for item in items if (after is None or item > after) and (before is None or item < before)]
    expected = expected[: count["first"]] if "first" in count else expected[-count["last"] :]
    assert list(page.items) == expected
    if page.items:
        assert page.has_next == (items[-1] != page.items[-1])
        assert page.has_previous == (items[0] != page.items[0])


@MODERATE
@given(kind=st.text(max_size=9), key=st.lists(int64s | st.text(max_size=9), min_size=1, max_size=4).map(tuple))
def test_cursors_round_trip(kind, key):
    cursor = encode_cursor(kind, key)

    assert decode_cursor(kind, cursor) == key
    assert cursor.isascii()
    with pytest.raises(InvalidPageError):
        decode_cursor(kind + "x", cursor)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)


@settings(max_examples=80, deadline=None)
@given(
    cursor=st.one_of(
        st.text(st.characters(), max_size=40),
        st.from_regex(r"[A-Za-z0-9_\-+/=]{0,40}", fullmatch=True),
        st.lists(json_values, max_size=3).map(lambda rest: encode_cursor("numbers", tuple(rest))),
    ),
    items=sorted_numbers,
)
def test_any_text_is_a_cursor_or_gets_a_typed_refusal(cursor, items):
    for argument in ("after", "before"):
        try:
            page = cut(items, **{argument: cursor})
        except InvalidPageError as error:
            assert error.fields["argument"] == argument
        else:
            assert set(page.items) <= set(items)
