"""The training study's scan of phase planes: theory in closed form, points kept apart, resuming."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.training import scan
from benchmarks.training.train import Settings

import gatefield as gf

GRUS = scan.Plane(
    "adding-4",
    Settings(),
    "gru",
    "gain_n",
    "bias_z",
    (1.0,),
    (0.0,),
    lambda gain, bias: gf.GRU(gain_r=3**-0.5, gain_z=3**-0.5, gain_n=gain, bias_z=bias),
)
TINY = Settings(hidden=8, batch=16, steps=4, every=2, tested=8)


@pytest.mark.slow
def test_the_scan_asks_theory_at_each_point_and_goes_on_where_it_was(tmp_path):
    path = tmp_path / "gated.json"
    plane = scan.PLANES["gated"]._replace(
        title="adding-4", settings=TINY, columns=(1.0, 3.0), rows=(0.0, 2.0)
    )
    held = scan.scan(plane._replace(columns=(1.0,)), (0,), path, progress=False)
    written = path.read_bytes()
    assert scan.scan(plane._replace(columns=(1.0,)), (0,), path, progress=False) == held
    assert path.read_bytes() == written
    held = scan.scan(plane, (0,), path, progress=False)
    # At the silent state half-open gates: sigma_z (g_h sigma_r - 1) = (g_h / 2 - 1) / 2, whatever
    # alpha_r; the file keeps four digits.
    edges = scan.grid_of(plane, held, "edge")
    np.testing.assert_allclose(edges, [[-0.25, 0.25]] * 2, rtol=1e-3)
    # The stable silent state's exponent is its edge; beyond, the network is chaotic.
    exponents = scan.grid_of(plane, held, "exponent")
    np.testing.assert_allclose(exponents[:, 0], -0.25, rtol=1e-3)
    assert (exponents[:, 1] > 0).all()
    assert np.isfinite(scan.grid_of(plane, held, "loss")).all()
    # Both lines are drawn, each once, between the columns.
    lines = [c for c in scan.figure_of(plane, held).axes[0].collections if hasattr(c, "levels")]
    assert len(lines) == 2
    with pytest.raises(ValueError, match="move it away"):
        scan.scan(plane._replace(settings=TINY._replace(rate=1.0)), (0,), path, progress=False)


@pytest.mark.slow
def test_the_grus_edge_is_the_gain_that_opens_the_reset_gate():
    plane = GRUS
    # z + (1 - z) g sigma(0) - 1 = (1 - z) (g / 2 - 1), with z = sigma(bias_z).
    assert scan.edge(plane, 3.0, 2.0) == pytest.approx(0.5 / (1 + np.exp(2)), rel=1e-6)
    assert scan.edge(plane, 1.0, 0.0) == pytest.approx(-0.25, rel=1e-6)


def test_the_median_over_seeds_is_not_mixed_up_with_other_points():
    plane = GRUS._replace(columns=(1.0,), rows=(2.0, 2.05))
    held = {f"loss,1.0,2.0,{seed}": value for seed, value in enumerate((0.1, 0.9, 0.2))}
    held |= {"loss,1.0,2.05,0": 7.0, "edge,1.0,2.0": -3.0}
    np.testing.assert_array_equal(scan.grid_of(plane, held, "loss"), [[0.2], [7.0]])
