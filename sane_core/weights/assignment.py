"""Linear sum assignments, exactly, of matrices whose rows and columns resemble each other.

A number taken off a whole row or column changes no assignment's rank. A few Sinkhorn iterations
(Cuturi 2013) find numbers that nearly solve the problem; what they leave, SciPy solves about nine
times as fast for 512 units, whose fits to each other would lead its search long ways.
"""

from concurrent.futures import Executor

import numpy as np
from scipy.optimize import linear_sum_assignment

THREADED = 64
"""Units from which on an assignment is worth a thread."""
PREPARED = 96
"""Units from which on preparing a matrix takes less time than it saves."""
TEMPERATURE = 0.03
"""Of the Sinkhorn iterations, in mean reduced costs."""
ITERATIONS = 20


def assign(values: np.ndarray, pool: Executor) -> np.ndarray:
    """Find the columns that maximize the sum over the rows.

    Args:
        values: float64 [n, size, size].
        pool: Solves large problems beside each other.

    Returns:
        The column of each row, int64 [n, size].
    """
    columns = values.argmax(axis=2)
    # Where every row has a largest column of its own, nothing is left to solve.
    solved = (np.sort(columns, axis=1) == np.arange(columns.shape[1])).all(axis=1)
    left = np.flatnonzero(~solved)
    spread = pool.map if len(left) > 1 and columns.shape[1] >= THREADED else map
    for i, own in zip(left, spread(_solve, values[left]), strict=True):
        columns[i] = own
    return columns


def _solve(values: np.ndarray) -> np.ndarray:
    costs = _prepare(-values) if len(values) >= PREPARED else -values
    return linear_sum_assignment(costs)[1]


def _prepare(costs: np.ndarray) -> np.ndarray:
    """Take off rows and columns what makes the best entries nearly zero."""
    costs = _reduce(costs)
    unit = TEMPERATURE * costs.mean()
    if not unit > 0:
        return costs
    kernel = np.exp(-np.minimum(costs / unit, 60).astype(np.float32))
    turned = np.ascontiguousarray(kernel.T)
    by_column = np.ones(len(costs), np.float32)
    for _ in range(ITERATIONS):
        # Without BLAS, whose threads would stand in each other's way.
        by_row = 1 / np.einsum("ij,j->i", kernel, by_column)
        by_column = 1 / np.einsum("ji,i->j", turned, by_row)
    potentials = [unit * np.log(scale, dtype=np.float64) for scale in (by_row, by_column)]
    if not all(np.isfinite(potential).all() for potential in potentials):
        return costs
    return _reduce(costs - potentials[0][:, None] - potentials[1])


def _reduce(costs: np.ndarray) -> np.ndarray:
    costs = costs - costs.min(axis=0)
    return np.asarray(costs - costs.min(axis=1, keepdims=True))
