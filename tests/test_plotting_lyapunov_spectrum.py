"""Lyapunov spectra on axes: what is drawn where, and what is refused."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest

from gatefield.analysis.lyapunov import LyapunovSpectrum
from gatefield.core.errors import InvalidInputError
from gatefield.core.results import Status
from gatefield.plotting.exponent_spectra import (
    exponent_spectrum_figure,
    plot_dimension_convergence,
    plot_exponent_convergence,
    plot_exponent_spectrum,
)

BLOCKS = np.array([[0.4, -0.1, -0.9], [0.2, 0.1, -1.1], [0.3, -0.2, -1.0], [0.5, -0.2, -1.0]])


def spectrum(blocks: np.ndarray = BLOCKS, *, size: int = 3, is_map: bool = False) -> Any:
    """Return a spectrum with given rates of blocks, each of duration 2."""
    k = blocks.shape[1]
    return LyapunovSpectrum(
        exponents=-np.sort(-blocks.mean(axis=0)),
        standard_errors=np.full(k, 0.05),
        layer=np.zeros(k, int),
        block_exponents=blocks,
        block_time=np.array(2.0),
        size=size,
        departure=np.array(1e-14),
        precision_error=np.array(np.nan),
        interval=10,
        state=np.zeros((1, size)),
        frame=np.eye(k, size).reshape(k, 1, size),
        certain=k,
        is_map=is_map,
        status=Status.OK,
        settings=(),
    )


def lines(ax) -> list[np.ndarray]:
    return [np.asarray(each.get_xydata()) for each in ax.get_lines()]


def has(ax, x: Any, y: Any) -> bool:
    """Return whether a line goes through exactly these points."""
    wanted = np.column_stack([x, y])
    return any(each.shape == wanted.shape and np.allclose(each, wanted) for each in lines(ax))


def test_each_network_and_their_mean_with_the_error_of_the_mean():
    own = plt.subplots()[1]
    ax = plot_exponent_spectrum([[0.3, -0.1, -1.0], [0.1, -0.3, -1.0]], ax=own)
    assert ax is own
    for row in ([0.3, -0.1, -1.0], [0.1, -0.3, -1.0], [0.2, -0.2, -1.0]):
        assert has(ax, [1, 2, 3], row)
    bars: Any = ax.containers[0]
    drawn = np.array(bars.lines[2][0].get_segments())
    # Two values that differ by .2: their mean has the error .1.
    assert np.allclose(drawn[:, 1, 1] - drawn[:, 0, 1], [0.2, 0.2, 0.0])
    assert np.allclose(drawn.mean(axis=1)[:, 1], [0.2, -0.2, -1.0])


def test_one_network_has_its_own_errors():
    ax = plot_exponent_spectrum([[0.3, -0.1]], [[0.05, 0.02]], ranks=[0.1, 0.2], unit="step")
    bars: Any = ax.containers[0]
    drawn = np.array(bars.lines[2][0].get_segments())
    assert np.allclose(drawn[:, 1, 1] - drawn[:, 0, 1], [0.1, 0.04])
    assert np.allclose(drawn[:, 0, 0], [0.1, 0.2])
    assert "per step" in ax.get_ylabel() and ax.get_xlabel() == "rank"
    assert not plot_exponent_spectrum([[0.3, -0.1]]).containers


def test_many_exponents_have_a_band():
    exponents = np.linspace(0.2, -1, 50)
    ax = plot_exponent_spectrum([exponents], [np.full(50, 0.1)])
    assert not ax.containers
    edges = np.asarray(ax.collections[0].get_paths()[0].vertices, float)
    for bound in (exponents + 0.1, exponents - 0.1):
        wanted = np.column_stack([np.arange(1, 51), bound])
        nearest = np.abs(edges[:, None] - wanted).sum(axis=-1).min(axis=0)
        assert np.allclose(nearest, 0, atol=1e-12)


def test_lost_directions_are_left_out():
    rows = [[0.2, -0.5, -np.inf], [0.4, -0.7, -1.0]]
    ax = plot_exponent_spectrum(rows)
    mean = [each for each in lines(ax) if np.allclose(each[:2, 1], [0.3, -0.6])]
    assert len(mean) == 1 and np.isnan(mean[0][2, 1])
    blocks = np.array([[0.2, -np.inf], [0.4, -np.inf]])
    low, high = plot_exponent_convergence([spectrum(blocks, size=2)]).get_ylim()
    # Estimates .2 and .3, with 15 per cent of their distance on both sides.
    assert np.allclose([low, high], [0.185, 0.315])
    # j + sum / infinity.
    assert has(plot_dimension_convergence([spectrum(blocks, size=2)]), [2, 4], [1.0, 1.0])


def test_convergence_is_the_mean_over_the_blocks_so_far():
    own = plt.subplots()[1]
    ax = plot_exponent_convergence([spectrum()], 2, ax=own)
    assert ax is own
    times = [2, 4, 6, 8]
    assert has(ax, times, [0.4, 0.3, 0.3, 0.35])
    # After two blocks the second rate is (-.1 + .1)/2.
    assert has(ax, times, [-0.1, 0.0, -0.2 / 3, -0.1])
    assert len(lines(ax)) == 3  # and zero
    low, high = ax.get_ylim()
    assert low < -0.1 and high > 0.4


def test_dimension_converges_to_that_of_the_exponents():
    own = plt.subplots()[1]
    one = spectrum()
    ax = plot_dimension_convergence([one], ax=own)
    assert ax is own
    # Eq. 9: all sums of the first two are positive, of three negative.
    expected = [2 + 0.3 / 0.9, 2 + 0.3 / 1.0, 2 + (0.3 - 0.2 / 3) / 1.0, 2 + 0.25 / 1.0]
    assert has(ax, [2, 4, 6, 8], expected)
    bars: Any = ax.containers[0]
    drawn = bars.lines[2][0].get_segments()[0]
    # The four blocks are left out in turn (jackknife).
    left = []
    for block in range(4):
        first, second, third = np.delete(BLOCKS, block, axis=0).mean(axis=0)
        left.append(2 + (first + second) / abs(third))
    error = np.sqrt(3 / 4 * np.sum((np.array(left) - np.mean(left)) ** 2))
    assert np.allclose([drawn[0, 1], drawn[1, 1]], [2.25 - error, 2.25 + error])


def test_a_dimension_out_of_reach_is_said():
    ax = plot_dimension_convergence([spectrum(BLOCKS[:, :2], size=3)])
    assert "not reached" in ax.texts[0].get_text()
    reached = plot_dimension_convergence([spectrum(BLOCKS[:, :2], size=2)])
    assert not reached.texts and has(reached, [2, 4, 6, 8], [2.0] * 4)


def test_figure_has_both_sides_and_theory():
    drawn = exponent_spectrum_figure(
        [spectrum(), spectrum(BLOCKS[:2] - 0.1)], theory=[("moving state", 0.42)], title="T"
    )
    assert len(drawn.axes) == 3 and drawn.get_suptitle() == "T"
    left = drawn.axes[0]
    assert has(left, [0, 1], [0.42, 0.42])
    legend = left.get_legend()
    assert legend is not None
    told = {each.get_text() for each in legend.get_texts()}
    assert told == {"mean of 2 networks", r"$\lambda_{\max}$ of mean-field theory, moving state"}
    steps = exponent_spectrum_figure([spectrum(is_map=True)])
    assert "steps" in steps.axes[2].get_xlabel() and "per step" in steps.axes[0].get_ylabel()


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: plot_exponent_spectrum([0.1, 0.2]), "exponents.shape"),
        (lambda: plot_exponent_spectrum([[0.1, 0.2]], ranks=[1.0]), "ranks.shape"),
        (lambda: plot_exponent_spectrum([[0.1, 0.2]], [0.1, 0.1]), "errors.shape"),
        (lambda: plot_exponent_spectrum([[0.1]], unit="second"), "unit"),
        (lambda: plot_exponent_convergence([]), "spectra"),
        (lambda: plot_exponent_convergence([spectrum()], 0), "count"),
        (lambda: plot_dimension_convergence([]), "spectra"),
        (lambda: exponent_spectrum_figure([]), "spectra"),
    ],
    ids=["flat", "ranks", "errors", "unit", "none", "count", "no dimension", "no figure"],
)
def test_what_cannot_be_drawn_is_refused(call, told):
    with pytest.raises(InvalidInputError, match=told):
        call()
