"""A small gated network and its short Lyapunov run, which several files of tests vary."""

from __future__ import annotations

from typing import Any

import numpy as np

import gatefield as gf

CELL = gf.GatedRNN(4.0, alpha_r=2.0)
ONES = np.ones((3, 16))
OPTIONS: dict[str, Any] = {"t_max": 12.0, "burn_in": 6.0, "blocks": 6, "dt": 0.1, "seed": 3}


def run(network: gf.Network | None = None, **changes: Any) -> gf.LyapunovSpectrum:
    """Return the run with some of its options changed."""
    network = gf.Network.sample(CELL, 16, seed=1) if network is None else network
    options: dict[str, Any] = OPTIONS | {"progress": False} | changes
    return gf.lyapunov_spectrum(network, **options)


def alike(first: gf.LyapunovSpectrum, second: gf.LyapunovSpectrum) -> None:
    """Assert that two runs gave the same numbers, to the last bit."""
    for name in ("exponents", "standard_errors", "block_exponents", "state", "frame"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
