"""Dynamical mean-field theory by plain quadrature: what the solvers' tests compare against."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import expit

import gatefield as gf
from gatefield.theory.dmft import MeanField

# Trapezoid over +-9 standard deviations: exact to rounding for tanh(b x) up to b = 8 or so.
X = np.linspace(-9, 9, 601)
WEIGHT = np.exp(-(X**2) / 2)
WEIGHT /= WEIGHT.sum()

Function = Callable[[Any], Any]


def average(f: Function, D: float) -> float:
    """Return <f(x)>, <x^2> = D."""
    return float(WEIGHT @ f(np.sqrt(D) * X))


def average_two(f: Function, g: Function, C: Any, D: float) -> np.ndarray:
    """Return <f(x) g(y)> for each covariance C >= 0, by averages over what x and y share."""
    found = []
    for c in np.atleast_1d(C):
        common, own = np.sqrt(max(c, 0.0)), np.sqrt(max(D - c, 0.0))
        x = common * X[:, None] + own * X
        found.append(WEIGHT @ ((f(x) @ WEIGHT) * (g(x) @ WEIGHT)))
    return np.array(found)


class Plain:
    """phi, both gates and their slopes of a cell, by NumPy; inputs shift the arguments."""

    def __init__(self, cell: Any, means: dict[str, float] | None = None):
        means = means or {}
        if isinstance(cell, gf.VanillaRNN):
            cell = gf.GatedRNN(cell.g, beta_h=cell.beta, beta_z=50.0, beta_r=50.0)
        g, b = float(cell.g_h), float(cell.beta_h)
        self.tau_z, self.tau_r = float(cell.tau_z), float(cell.tau_r)
        s0 = expit(cell.beta_z) if cell.input_gating == "none" else 1.0
        b += g * means.get("h", 0.0) / s0
        self.phi = lambda x: np.tanh(g * x + b)
        self.phi_slope = lambda x: g / np.cosh(g * x + b) ** 2
        self.gate_z, _ = self._gate(cell.alpha_z, cell.beta_z + cell.alpha_z * means.get("z", 0))
        self.gate_r, self.gate_r_slope = self._gate(
            cell.alpha_r, cell.beta_r + cell.alpha_r * means.get("r", 0)
        )

    @staticmethod
    def _gate(a: float, b: float) -> tuple[Function, Function]:
        def slope(x):
            return a * expit(a * x + b) * expit(-a * x - b)

        return lambda x: expit(a * x + b), slope


def second_difference(function: Function, points: np.ndarray, step: float) -> np.ndarray:
    """Return f'' by the central difference of sixth order."""
    weights = np.array([2, -27, 270, -490, 270, -27, 2]) / 180
    moved = points[:, None] + step * np.arange(-3, 4)
    return function(moved) @ weights / step**2


def plain_residuals(
    found: MeanField, points: Any, inputs: Function = lambda t: np.zeros((3, np.size(t)))
) -> np.ndarray:
    """Return the violation of the lag equations of h, z and r at lags, relative to C(0).

    ``inputs`` gives V_h, V_z and V_r at lags; the cell has no inputs' means.
    """
    plain, points = Plain(found.cell), np.asarray(points, float)
    names = [name for name in "hzr" if name in found.names]
    C = {name: found.at(name, points) for name in names}
    start = {name: float(found.at(name, [0.0])[0]) for name in names}
    curved = {
        name: second_difference(lambda t, name=name: found.at(name, t), points, 0.05)
        for name in names
    }
    phi = average_two(plain.phi, plain.phi, C["h"], start["h"])
    if names == ["h"]:
        return (-curved["h"] + C["h"] - phi - inputs(points)[0])[None] / start["h"]
    gate_z = average_two(plain.gate_z, plain.gate_z, C["z"], start["z"])
    gate_r = average_two(plain.gate_r, plain.gate_r, C["r"], start["r"])
    V = inputs(points)
    inside = getattr(found.cell, "input_gating", "none") == "update"
    drive = gate_z * (gate_r * phi + V[0]) if inside else gate_z * gate_r * phi + V[0]
    rows = [-curved["h"] + gate_z * C["h"] - drive]
    for k, (name, tau) in enumerate((("z", plain.tau_z), ("r", plain.tau_r)), start=1):
        rows.append(-(tau**2) * curved[name] + C[name] - phi - V[k])
    return np.array([row / start[name] for row, name in zip(rows, "hzr", strict=True)])
