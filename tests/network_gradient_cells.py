"""Small networks whose gradients are measured."""

from __future__ import annotations

import numpy as np

import gatefield as gf

N = 6
GATED = gf.GatedRNN(2.0, alpha_z=1.0, alpha_r=1.5, beta_h=0.1, beta_z=-0.2, tau_z=2.0, tau_r=0.5)
BEFORE = gf.GRU(gain_r=2.0, gain_z=1.5, gain_n=2.5, bias_hn=0.2, bias_z=-0.3, reset="before")
AFTER = gf.GRU(gain_r=2.0, gain_n=np.linspace(1.0, 3.0, N), bias_hn=0.2)
SOURCES = {"h": gf.GaussianInput(variance=0.5, correlation_time=1.0)}
STEP = 1e-5
# Of a central difference: a third derivative of order one times STEP^2 / 6, and rounding / STEP.
DIFFERENCE = 1e-8


def made(cell, seed=1):
    """Return a network and a state of it."""
    network = gf.Network.sample(cell, N, seed=seed)
    shape = (len(cell.state_names), N)
    return network, np.random.default_rng(seed).normal(size=shape)


def changed(cell, **values):
    """Return the cell with other parameters."""
    return type(cell)(**{**vars(cell), **values})
