"""A damaged file is refused or gives sound tensors; a truncated one is always refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sane_core.zoo.formats.refused import Refused
from sane_core.zoo.formats.tensors import read_tensors

FORMS = ["zip", "legacy", "safetensors"]


@pytest.mark.parametrize("form", FORMS)
def test_every_truncation_is_refused_as_incomplete(forge, tmp_path, form):
    data, path = forge.good[form], tmp_path / "checkpoint"
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(Refused) as caught:
            read_tensors(path)
        assert caught.value.incomplete, (length, str(caught.value))


def test_a_cut_right_after_an_archive_inside_the_archive_is_refused(forge, tmp_path):
    inner = forge.good["zip"]
    data = forge.archive(b"\x80\x02}.", {"0": inner})
    path = tmp_path / "checkpoint"
    path.write_bytes(data[: data.index(inner) + len(inner)])
    with pytest.raises(Refused, match="does not lie where it says"):
        read_tensors(path)


@pytest.mark.parametrize("form", FORMS)
def test_bytes_after_the_end_are_refused(forge, tmp_path, form):
    path = tmp_path / "checkpoint"
    path.write_bytes(forge.good[form] + b"\0")
    with pytest.raises(Refused):
        read_tensors(path)


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(FORMS),
    st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 7)), min_size=1, max_size=4
    ),
)
def test_flipped_bits_give_a_refusal_or_sound_tensors(forge, tmp_path_factory, form, flips):
    data = bytearray(forge.good[form])
    for place, bit in flips:
        data[int(place * len(data))] ^= 1 << bit
    path = tmp_path_factory.getbasetemp() / "flipped"
    path.write_bytes(data)
    try:
        found = read_tensors(path)
    except Refused:
        return
    assert found.tensors.keys() == found.dtypes.keys()
    for values in found.tensors.values():
        assert isinstance(values, np.ndarray)
        assert values.nbytes <= 4 * len(data)
        assert np.array_equal(values.copy(), values, equal_nan=values.dtype.kind == "f")
