"""What tests of simulations share."""

from __future__ import annotations

import numpy as np

ROUNDING = 1e-13


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def random_couplings(seed, n, names="hzr"):
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal((n, n)) / np.sqrt(n) for name in names}
