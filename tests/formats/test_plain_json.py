"""JSON from strangers is read in bounded time, and a line that a crash cut off is told apart."""

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sane_core.zoo.formats.plain_json import read_json, read_json_lines
from sane_core.zoo.formats.refused import Refused, printable

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(VALUES, st.booleans())
def test_any_value_is_read_as_it_was_written(value, ascii_only):
    text = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    try:
        text.decode()
    except UnicodeDecodeError:
        return
    assert read_json(text) == value


@given(st.binary(max_size=60) | st.text('{}[]",:\\1 a', max_size=60).map(str.encode))
def test_any_bytes_are_read_or_refused(text):
    for read in (read_json, read_json_lines):
        try:
            read(text)
        except Refused as refused:
            assert str(refused).isprintable()


def test_nesting_is_counted_outside_texts_only():
    assert read_json(b'["[[[[", "\\"[[["]', limit_depth=1) == ["[[[[", '"[[[']
    with pytest.raises(Refused, match="at most 2 levels"):
        read_json(b"[[[1]]]", limit_depth=2)


@pytest.mark.parametrize(
    "text", [b"[" * 100_000, b'{"a":' * 100_000, b'"\\"' * 500_000, b"1" * 9999]
)
def test_absurd_texts_are_refused(text):
    with pytest.raises(Refused):
        read_json(text)


def test_a_repeated_key_and_a_large_file_are_refused(tmp_path):
    with pytest.raises(Refused, match="the key 'a' stands there twice"):
        read_json(b'{"b": 1, "a": 1, "a": 2}')
    (tmp_path / "params.json").write_text("[1, 2, 3]")
    with pytest.raises(Refused, match="at most 5 bytes, got 9"):
        read_json(tmp_path / "params.json", limit_bytes=5)


def test_lines_are_read_and_a_half_written_last_one_is_reported(tmp_path):
    path = tmp_path / "result.json"
    whole = b'{"epoch": 0}\n\n{"epoch": 1, "loss": NaN}\n'
    path.write_bytes(whole)
    assert [line["epoch"] for line in read_json_lines(path).values] == [0, 1]
    last = b'{"epoch": 12}'
    for length in range(1, len(last)):
        found = read_json_lines(whole + last[:length])
        assert found.half_written and len(found.values) == 2
    found = read_json_lines(whole + last)
    assert not found.half_written and found.values[2] == {"epoch": 12}


def test_a_number_cut_off_is_half_written():
    assert read_json_lines(b"12\n12").half_written


def test_a_broken_line_in_the_middle_is_refused_by_its_number():
    with pytest.raises(Refused, match="line 2: "):
        read_json_lines(b'{"a": 1}\n{"a": \n{"a": 3}\n')


@given(st.text(), st.integers(1, 50))
def test_printable_text_is_printable_and_short(text, limit):
    found = printable(text, limit)
    assert found.isprintable() and len(found) <= limit


def test_printable_text_stays_and_terminal_escapes_are_written_out():
    assert printable("Größe 3×3") == "Größe 3×3"
    assert printable("a\x1b[2J\n\u202eb") == r"a\x1b[2J\n\u202eb"


def test_a_refusal_says_the_same_in_another_process():
    found = copy.copy(Refused("the file must\nend", "Copy it", incomplete=True))
    assert str(found) == r"the file must\nend. Copy it."
    assert (found.reason, found.remedy, found.incomplete) == (
        r"the file must\nend",
        "Copy it",
        True,
    )
