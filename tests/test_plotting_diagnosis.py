"""Parts of a diagnosis on axes: what is drawn where, and what is refused."""

from __future__ import annotations

from typing import Any

import diagnosed
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.patches import Circle

from gatefield.core.errors import InvalidInputError
from gatefield.plotting import (
    diagnosis_figures,
    plot_coupling_eigenvalues,
    plot_gate_histogram,
    plot_gradient_horizon,
    plot_layer_exponents,
    plot_layer_jacobian,
    plot_layer_memory,
    plot_phase_place,
    plot_slow_points,
)


def line(ax: Any, label: str) -> np.ndarray:
    """Return the points of the line of this name, (point, 2)."""
    (found,) = [each for each in ax.get_lines() if each.get_label() == label]
    return np.asarray(found.get_xydata())


def legend(ax: Any) -> list[str]:
    return [each.get_text() for each in ax.get_legend().get_texts()]


def radii(ax: Any) -> list[float]:
    return [float(each.get_radius()) for each in ax.patches if isinstance(each, Circle)]


def test_eigenvalues_of_a_block_have_the_circle_of_their_gain():
    ax: Any = plot_coupling_eigenvalues(diagnosed.couplings(), "n")
    expected = [[3.0, 0.0], [0.0, 0.5], [0.0, -0.5], [0.1, 0.0]]
    np.testing.assert_array_equal(line(ax, "eigenvalues"), expected)
    np.testing.assert_array_equal(line(ax, "outliers"), expected[:1])
    assert radii(ax) == [1.25, 1.875]
    assert "circular law, gain 1.25" in legend(ax) and ax.get_aspect() == 1.0
    assert ax.get_legend().get_title().get_text() == "$J_{n}$"


def test_a_block_without_outliers_names_none():
    ax = plt.subplots()[1]
    assert plot_coupling_eigenvalues(diagnosed.couplings(), "r", ax=ax) is ax
    assert "outliers" not in legend(ax) and radii(ax) == [1.0, 1.5]
    with pytest.raises(InvalidInputError, match="field = 'q': expected one of 'r', 'z', 'n'"):
        plot_coupling_eigenvalues(diagnosed.couplings(), "q")


def test_the_jacobian_is_drawn_with_its_boundary():
    ax: Any = plot_layer_jacobian(diagnosed.spectra())
    expected = [[0.9, 0.0], [0.0, 0.2], [0.0, -0.2], [0.1, 0.0]]
    np.testing.assert_array_equal(line(ax, "eigenvalues"), expected)
    assert radii(ax) == [1.0]  # the unit circle
    edge: Any = ax.get_lines()[1]
    np.testing.assert_allclose(np.hypot(*np.asarray(edge.get_xydata()).T), 0.5, rtol=1e-15)
    assert len(edge.get_xydata()) == 9  # closed
    assert ax.get_legend().get_title().get_text() == "Jacobian at step 20"
    for place in (1, -2):
        with pytest.raises(InvalidInputError, match=f"place = {place}: expected from -1 to 0"):
            plot_layer_jacobian(diagnosed.spectra(), place)


def test_exponents_are_drawn_by_rank():
    ax: Any = plot_layer_exponents(diagnosed.exponents())
    shown = np.asarray(ax.containers[0].lines[0].get_xydata())
    np.testing.assert_array_equal(shown[:3], [[1, 0.05], [2, -0.1], [3, -0.5]])
    assert np.isnan(shown[3, 1])  # minus infinity
    assert ax.get_title(loc="left") == "dimension 1.5" and "per step" in ax.get_ylabel()


def test_gates_are_drawn_as_densities():
    """A quarter in each of four bins of an eighth: density 2 from 0.5 to 1."""
    ax: Any = plot_gate_histogram(diagnosed.statistics(), diagnosed.timescales())
    reset, update = (each.get_data() for each in ax.patches)
    np.testing.assert_array_equal(update.values, [0, 0, 0, 0, 2, 2, 2, 2])
    assert np.sum(reset.values * np.diff(reset.edges)) == 1.0
    # The median time of 4 steps is that of a gate of exp(-1/4).
    np.testing.assert_allclose(line(ax, "units' own times, median 4")[0, 0], np.exp(-0.25))
    (above,) = [each for each in ax.child_axes if each.get_xlabel()]
    marks = [each.get_text() for each in above.get_xticklabels()]
    np.testing.assert_allclose(above.get_xticks()[marks.index("2")], np.exp(-0.5))


def test_a_layer_without_gates_has_no_histogram():
    with pytest.raises(InvalidInputError, match="expected at least one gate"):
        plot_gate_histogram(diagnosed.statistics(gated=False))


def test_memory_is_drawn_beside_its_times():
    ax = plot_layer_memory(diagnosed.timescales())
    shown = line(ax, "correlation of the activity")
    np.testing.assert_allclose(shown[:, 1], np.exp(-shown[:, 0] / 3), rtol=1e-15)
    np.testing.assert_array_equal(line(ax, "gates: 4")[:, 0], [4.0, 4.0])
    assert {"spectrum: unbounded", r"$1 / |\lambda_1|$: 20 (beyond)"} <= set(legend(ax))


def test_gradients_are_drawn_relative_to_the_end():
    ax = plot_gradient_horizon(diagnosed.gradients())
    shown = line(ax, "$a_{h}$")
    np.testing.assert_allclose(shown[:, 1], 0.5 ** shown[:, 0], rtol=1e-14)
    assert ax.get_yscale() == "log" and ax.get_title(loc="left") == "-6.93 e-folds"


def test_points_are_drawn_by_kind():
    ax = plot_slow_points(diagnosed.slow_points())
    places = {each.get_label(): np.asarray(each.get_offsets()) for each in ax.collections}
    np.testing.assert_array_equal(places["stable (1)"], [[0.1, 0.9]])
    np.testing.assert_array_equal(places["unstable (1)"], [[0.5, 1.2]])
    np.testing.assert_array_equal(places["slow (1)"], [[0.3, 1.01]])


def test_the_place_on_the_plane():
    ax = plot_phase_place(diagnosed.ensemble())
    np.testing.assert_array_equal(line(ax, "this layer"), [[2.0, 0.5]])
    np.testing.assert_array_equal(line(ax, "edge, random networks"), [[3.0, 0.5]])
    np.testing.assert_array_equal(line(ax, "radius 1, theory")[:, 0], [2.0] * 3)
    mesh: Any = ax.collections[0]
    # The radius is half the gain; colours end at a factor e.
    folds = np.clip(np.log(np.array([0.25, 0.5, 1.0, 2.0])), -1, 1)
    np.testing.assert_allclose(np.asarray(mesh.get_array())[0], folds, rtol=1e-15)
    assert ax.get_xlabel() == r"$\mathrm{gain}_{n}$" and ax.get_xscale() == "log"


def test_a_plane_with_gaps_is_drawn():
    found = diagnosed.ensemble()
    radius = found.radius.copy()
    radius[0, 0] = np.nan
    object.__setattr__(found, "radius", radius)
    mesh: Any = plot_phase_place(found).collections[0]
    assert np.sum(np.ma.getmaskarray(mesh.get_array())) == 1


def test_every_part_is_in_a_figure():
    drawn = diagnosis_figures(diagnosed.layer())
    counts = {name: len(figure.axes) for name, figure in drawn.items()}
    # The plane has a colour scale.
    assert counts == {"couplings": 3, "dynamics": 3, "memory": 3, "place": 2}


@pytest.mark.parametrize(
    ("without", "left"),
    [
        (("spectra", "slow_points"), {"couplings": 3, "dynamics": 1, "memory": 3, "place": 2}),
        (("timescales", "gradients"), {"couplings": 3, "dynamics": 3, "memory": 1, "place": 2}),
        (("ensemble", "couplings"), {"dynamics": 3, "memory": 3}),
        (tuple(diagnosed.PARTS), {}),
    ],
    ids=["dynamics", "memory", "place", "nothing"],
)
def test_missing_parts_are_left_out(without, left):
    drawn = diagnosis_figures(diagnosed.layer(without))
    assert {name: len(figure.axes) for name, figure in drawn.items()} == left


def test_figures_are_of_layers():
    wrong: Any = diagnosed.diagnosis()
    with pytest.raises(InvalidInputError, match="'Diagnosis': expected a LayerDiagnosis"):
        diagnosis_figures(wrong)
