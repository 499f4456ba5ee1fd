"""Figure 5: its traces, exponents and critical lines, and what its lines make of them."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from gatefield.figures import fig05
from gatefield.phases import stability_line

SIZE = fig05.Size(300, 3, 60.0, 200.0, (0.0, 0.3), (0.0, 0.3, 1.0))


@pytest.fixture(scope="module")
def result():
    return fig05.compute(size=SIZE)


@pytest.mark.slow
def test_input_moves_one_network_and_stills_the_other(result):
    """Panels (a) to (d): motion without and with the same input, told as it is."""
    motion = result.tables["traces"]["motion"]
    assert motion.sel(network="induced", strength=0.0) < 0.01
    assert motion.sel(network="induced", strength=0.3) > 0.05
    still, moving = (float(motion.sel(network="suppressed", strength=s)) for s in (0.3, 0.0))
    assert still < 0.1 * moving  # it has not come to rest wholly after 200 time constants
    assert all(line.endswith(": agree") for line in result.lines[:2])


@pytest.mark.slow
def test_exponents_change_sign_as_theory_says(result):
    """Panel (e), the issue's claim: chaos by input below the discontinuous line, order above."""
    for name, signs in (("induced", [-1, 1]), ("suppressed", [1, -1])):
        networks = result.results[f"networks_{name}"]
        assert np.sign(networks.exponent).tolist() == signs
        # In a chaotic network of 300 units the exponent of .04 is halved, and may be lost.
        last = networks.mean_rates[1]
        assert last * signs[1] > 0
    (low,), (high,) = (getattr(result.results["theory_induced"], k) for k in ("lower", "upper"))
    assert 0.0 < low < 0.3 < high < 1.0


@pytest.mark.slow
def test_lines_are_where_fixed_points_lose_stability(result):
    lines = result.tables["lines"]
    alpha = float(lines["alpha_r"][7])
    again = stability_line(alpha_r=alpha, input_variance={"h": 0.2**2})
    assert float(lines["g_h"].sel(strength=0.2)[7]) == pytest.approx(float(again), rel=1e-9)
    assert "lowers it at large: agree" in result.lines[-1]
    assert len(fig05.figure(result).axes) == 6


def test_traces_that_do_not_change_are_told():
    """A network that input leaves at rest disagrees with the paper's panels (a) and (b)."""
    motion = np.array([[1e-3, 1e-3], [0.1, 0.09]])
    traces = xr.Dataset(
        {"motion": (("network", "strength"), motion)}, {"network": ["induced", "suppressed"]}
    )
    assert all(line.endswith("DISAGREE") for line in fig05._trace_lines(traces))
