"""Memory of batches is used again only when nobody can see it any more."""

import numpy as np
import torch

from sane_core.windows.memory import Buffers


def test_memory_that_nobody_holds_is_given_out_again():
    buffers = Buffers()
    where = buffers.empty((4, 3), np.uint8).ctypes.data
    assert buffers.empty((4, 3), np.uint8).ctypes.data == where


def test_memory_that_a_tensor_of_a_view_still_shows_is_not_given_out():
    buffers = Buffers()
    held = torch.from_numpy(buffers.empty((4, 4), np.uint8).view(np.int16)[1:])
    held.fill_(7)
    buffers.empty((4, 4), np.uint8)[:] = 0
    assert (held == 7).all()


def test_another_shape_has_memory_of_its_own():
    buffers = Buffers()
    one = buffers.empty((2, 2), np.uint8)
    assert buffers.empty((4, 1), np.uint8).ctypes.data != one.ctypes.data
