"""Pages: where they begin and end, and what bad arguments and cursors get."""

from __future__ import annotations

import base64
import json

import pytest

from app.domain.pages import DEFAULT_PAGE, MAX_PAGE, PageRequest, cut_page, decode_cursor, encode_cursor
from app.errors import InvalidPageError

LETTERS = list("abcdefghij")


def cut(items, **request):
    return cut_page(items, PageRequest(**request), kind="letters", key=lambda letter: (letter,))


def at(letter):
    return encode_cursor("letters", (letter,))


def raw(value) -> str:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


@pytest.mark.parametrize(
    ("case", "request_", "expected", "has_previous", "has_next"),
    [
        ("no argument", {}, "abcdefghij", False, False),
        ("first", {"first": 3}, "abc", False, True),
        ("exactly all", {"first": 10}, "abcdefghij", False, False),
        ("more than all", {"first": 100}, "abcdefghij", False, False),
        ("first after", {"first": 3, "after": at("c")}, "def", True, True),
        ("up to the end", {"first": 3, "after": at("g")}, "hij", True, False),
        ("after the end", {"first": 3, "after": at("j")}, "", True, False),
        ("after one that is gone", {"first": 2, "after": at("cc")}, "de", True, True),
        ("last", {"last": 3}, "hij", True, False),
        ("last before", {"last": 3, "before": at("h")}, "efg", True, True),
        ("down to the start", {"last": 3, "before": at("d")}, "abc", False, True),
        ("before the start", {"last": 3, "before": at("a")}, "", False, True),
        ("between", {"first": 10, "after": at("b"), "before": at("f")}, "cde", True, True),
        ("last between", {"last": 2, "after": at("b"), "before": at("f")}, "de", True, True),
        ("between, the wrong way round", {"first": 3, "after": at("f"), "before": at("b")}, "", True, True),
    ],
)
def test_page_has_its_items_and_says_what_is_around(case, request_, expected, has_previous, has_next):
    page = cut(LETTERS, **request_)

    assert "".join(page.items) == expected
    assert [decode_cursor("letters", cursor) for cursor in page.cursors] == [(letter,) for letter in expected]
    assert (page.has_previous, page.has_next) == (has_previous, has_next)
    assert page.total == len(LETTERS)


def test_page_without_arguments_has_the_default_size():
    page = cut([f"{number:03d}" for number in range(DEFAULT_PAGE + 1)])

    assert len(page.items) == DEFAULT_PAGE
    assert page.has_next


@pytest.mark.parametrize(("case", "request_"), [("first", {"first": 5}), ("last", {"last": 5}), ("default", {})])
def test_page_of_nothing_is_empty(case, request_):
    page = cut([], **request_)

    assert (list(page.items), list(page.cursors), page.has_next, page.has_previous, page.total) == (
        [],
        [],
        False,
        False,
        0,
    )


@pytest.mark.parametrize(
    ("case", "request_", "argument"),
    [
        ("first 0", {"first": 0}, "first"),
        ("first -1", {"first": -1}, "first"),
        ("first 101", {"first": MAX_PAGE + 1}, "first"),
        ("first 2^31", {"first": 2**31}, "first"),
        ("last 0", {"last": 0}, "last"),
        ("last -1", {"last": -1}, "last"),
        ("last 101", {"last": MAX_PAGE + 1}, "last"),
        ("both", {"first": 1, "last": 1}, "first and last"),
        ("both, one of them wrong", {"first": 0, "last": 1}, "first and last"),
    ],
)
def test_bad_count_is_refused(case, request_, argument):
    with pytest.raises(InvalidPageError) as caught:
        PageRequest(**request_)

    assert caught.value.fields["argument"] == argument


HOSTILE = {
    "empty": "",
    "spaces": "   ",
    "padding alone": "====",
    "not base64": "!!!",
    "one character": "A",
    "unicode": "größe",
    "lone surrogate": "\ud800",
    "NUL": "\x00",
    "not JSON": raw(b"hello"),
    "not UTF-8": raw(b"\xff\xfe\xfd"),
    "null": raw(None),
    "number": raw(7),
    "text": raw("letters"),
    "object": raw({"letters": "a"}),
    "empty list": raw([]),
    "kind alone": raw(["letters"]),
    "kind of another list": raw(["tags", "a"]),
    "kind that is no text": raw([["letters"], "a"]),
    "too few parts": raw(["letters"]),
    "too many parts": raw(["letters", "a", "b"]),
    "number for a text": raw(["letters", 7]),
    "null for a text": raw(["letters", None]),
    "true for a text": raw(["letters", True]),
    "float for a text": raw(["letters", 1.5]),
    "NaN": raw(b'["letters",NaN]'),
    "infinity": raw(b'["letters",Infinity]'),
    "list for a text": raw(["letters", ["a"]]),
    "object for a text": raw(["letters", {}]),
    "nested deeply": raw(b"[" * 100_000),
    "number of thousands of digits": raw(b'["letters",' + b"9" * 10_000 + b"]"),
    "two values": raw(b'["letters","a"]["letters","b"]'),
    "huge": "A" * 1_000_000,
}


@pytest.mark.parametrize("argument", ["after", "before"])
@pytest.mark.parametrize(("case", "cursor"), HOSTILE.items(), ids=HOSTILE)
def test_hostile_cursor_is_refused_with_its_argument(case, cursor, argument):
    with pytest.raises(InvalidPageError) as caught:
        cut(LETTERS, **{argument: cursor})

    assert caught.value.fields["argument"] == argument
    assert len(caught.value.message) < 200


@pytest.mark.parametrize(
    ("case", "key"),
    [
        ("text for a number", ("1", 2)),
        ("huge number is fine but one part is missing", (10**30,)),
        ("numbers alone", (1, 2)),
    ],
)
def test_cursor_of_another_shape_is_refused(case, key):
    with pytest.raises(InvalidPageError):
        cut_page(
            [(1, "a"), (2, "b")],
            PageRequest(after=encode_cursor("pairs", key)),
            kind="pairs",
            key=lambda pair: pair,
        )


def test_number_beyond_64_bits_in_a_cursor_is_a_place_like_any_other():
    page = cut_page([1, 2], PageRequest(after=encode_cursor("n", (2**70,))), kind="n", key=lambda number: (number,))

    assert (list(page.items), page.has_previous, page.has_next) == ([], True, False)


def test_lone_surrogate_inside_a_cursor_is_a_place_like_any_other():
    page = cut(LETTERS, after=raw(b'["letters","a\\ud800"]'))

    assert page.items == LETTERS[1:]


@pytest.mark.parametrize(
    ("case", "key"), [("true", [True]), ("null", [None]), ("float", [1.5]), ("list", [[1]]), ("nothing", [])]
)
def test_cursor_is_refused_by_what_is_in_it_even_before_a_list_is_there_to_compare(case, key):
    with pytest.raises(InvalidPageError):
        decode_cursor("letters", raw(["letters", *key]))


@pytest.mark.parametrize(("case", "cursor"), [("garbage", "!!!"), ("another list's", encode_cursor("tags", ("a",)))])
def test_hostile_cursor_of_an_empty_list_is_refused_too(case, cursor):
    with pytest.raises(InvalidPageError):
        cut([], after=cursor)
