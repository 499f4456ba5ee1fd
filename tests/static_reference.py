"""An independent solution of the static theory: plain trapezoid averages, SciPy's root finder."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

import gatefield as gf

QUICK: dict[str, Any] = {"method": "sampled", "samples": 512, "replicates": 4}

_NODES = np.linspace(-10, 10, 4001)
_WEIGHTS = np.exp(-(_NODES**2) / 2) / np.sum(np.exp(-(_NODES**2) / 2))


def mean_of(function, mean, variance):
    """Average over N(mean, variance); exact to rounding for functions wider than 0.05."""
    return float(_WEIGHTS @ function(mean + np.sqrt(variance) * _NODES))


def independent(variance, p):
    """Return the right-hand side of the equation for D_h, and what else THEORY 3 defines.

    p holds the parameters by name; I_x, V_x, B_x are input mean, input variance, bias variance.
    """
    of = lambda name: p.get(name, 0.0)  # noqa: E731
    g, a_r, a_z = of("g_h"), of("alpha_r"), of("alpha_z")
    arg_h = (of("beta_h") + g * of("I_h"), g**2 * variance + of("B_h"))
    phi2 = mean_of(lambda x: np.tanh(x) ** 2, *arg_h)
    slope2 = g**2 * mean_of(lambda x: np.cosh(x) ** -4.0, *arg_h)
    arg_r = (of("beta_r") + a_r * of("I_r"), a_r**2 * (phi2 + of("V_r")) + of("B_r"))
    s2 = mean_of(lambda x: expit(x) ** 2, *arg_r)
    s_slope2 = a_r**2 * mean_of(lambda x: (expit(x) * expit(-x)) ** 2, *arg_r)
    arg_z = (of("beta_z") + a_z * of("I_z"), a_z**2 * (phi2 + of("V_z")) + of("B_z"))
    return {
        "mapped": phi2 * s2 + of("V_h"),
        "radius": np.sqrt(slope2 * (s2 + phi2 * s_slope2)),
        "open": mean_of(expit, *arg_z),
        "activity": phi2,
        # M at lambda = 0 has M_hh, and M_hr M_rh, whose larger eigenvalue is (a + ...)/2.
        "a": slope2 * s2,
        "b": slope2 * phi2 * s_slope2,
    }


def root_of(function, low, high):
    return brentq(function, low, high, xtol=1e-14, full_output=True)[0]


def independent_roots(p):
    """Bracket every nonzero solution on a fine logarithmic grid, and refine it."""
    excess = lambda u: independent(np.exp(u), p)["mapped"] / np.exp(u) - 1  # noqa: E731
    grid = np.linspace(np.log(1e-8), np.log(1.01 + p.get("V_h", 0.0)), 300)
    values = [excess(u) for u in grid]
    return [
        float(np.exp(root_of(excess, grid[i], grid[i + 1])))
        for i in range(len(grid) - 1)
        if values[i] * values[i + 1] < 0
    ]


def solve(p, **options):
    """Call `solve_static` with parameters named as in `independent`, h inputs inside the gate."""
    names = ("g_h", "alpha_z", "alpha_r", "beta_h", "beta_z", "beta_r")
    cell = gf.GatedRNN(**{name: p[name] for name in names if name in p}, input_gating="update")
    given = {
        label: {name[2]: value for name, value in p.items() if name.startswith(letter)}
        for label, letter in (
            ("input_mean", "I_"),
            ("input_variance", "V_"),
            ("bias_variance", "B_"),
        )
    }
    return gf.solve_static(cell, **given, **options)
