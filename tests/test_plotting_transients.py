"""Transients on axes: what is drawn where."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest

from gatefield.analysis.transients import TransientLengths
from gatefield.analysis.transients.runs import Outcome
from gatefield.core.results import Status
from gatefield.plotting import plot_survival, plot_transient_medians, transient_figure

LENGTHS = np.array([[1.0, 2.0, 3.0, 4.0, 5.0], [2.0, 4.0, 6.0, 8.0, 9.0]])
OUTCOMES = np.array([[0, 1, 0, 0, 3], [0, 0, 0, 0, 3]])


def made(lengths: Any = LENGTHS, outcomes: Any = OUTCOMES, **fields: Any) -> TransientLengths:
    blank = np.full(np.shape(lengths), np.nan)
    given: dict[str, Any] = {
        "sizes": np.array([100, 200]),
        "lengths": lengths,
        "outcomes": outcomes,
        "speeds": blank,
        "growth": blank,
        "seeds": np.zeros(np.shape(lengths), int),
        "t_max": np.array(10.0),
        "threshold": np.array(0.01),
        "is_map": False,
        "status": Status.OK,
        "settings": (),
    }
    return TransientLengths(**{**given, **fields})


def lines(ax) -> list[np.ndarray]:
    return [np.asarray(each.get_xydata()) for each in ax.get_lines()]


def test_a_survival_curve_and_its_band():
    own = plt.subplots()[1]
    ax = plot_survival(made().survival(100), ax=own, label="N")
    assert ax is own and ax.get_ylabel() == "share of networks not at rest"
    # Of 5, then 3, then 2 runs one ends; the one that rests elsewhere from 2 on counts until then.
    shares = [1, 4 / 5, 4 / 5, 8 / 15, 4 / 15, 4 / 15]
    assert np.allclose(lines(ax)[0], np.column_stack([[0, 1, 2, 3, 4, 5], shares]))
    assert len(ax.collections) == 1 and "time constants" in ax.get_xlabel()
    bare = plot_survival(made(is_map=True).survival(100), band=False)
    assert not bare.collections and "steps" in bare.get_xlabel()


def test_runs_that_diverged_are_left_out():
    outcomes = np.where(LENGTHS == 5.0, Outcome.DIVERGED, OUTCOMES)
    lengths = np.where(outcomes == Outcome.DIVERGED, np.nan, LENGTHS)
    assert made(lengths, outcomes).survival(100).at_risk[0] == 4


def test_medians_and_their_power_law():
    ax = plot_transient_medians(made(), label="networks")
    assert ax.get_xscale() == ax.get_yscale() == "log"
    # Medians 4 and 6 at N = 100 and 200: the law through two points meets both.
    assert any(np.allclose(each, [[100, 4], [200, 6]]) for each in lines(ax) if len(each) == 2)
    bars: Any = ax.containers[0]
    ends = [segment[:, 1] for segment in bars.lines[2][0].get_segments()]
    for end, one in zip(ends, made().median_intervals(), strict=True):
        # Open ends are drawn to the longest time.
        assert np.allclose(end, np.minimum(one, 10.0))
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["100", "200"]


def test_medians_that_are_not_reached_are_arrows_from_the_longest_time():
    outcomes = np.array([OUTCOMES[0], [0, 3, 3, 3, 3]])
    ax = plot_transient_medians(made(outcomes=outcomes))
    arrows = [each for each in ax.get_lines() if each.get_marker() == "^"]
    assert [np.asarray(each.get_xydata()).tolist() for each in arrows] == [[[200.0, 10.0]]]


@pytest.mark.filterwarnings("error")
def test_the_figure_of_both_also_where_nothing_ended():
    drawn = transient_figure(made(), title="a title")
    left, right = drawn.axes
    legend = left.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["$N = 100$", "$N = 200$"]
    never = made(np.full((2, 5), 10.0), np.full((2, 5), 3))
    drawn = transient_figure(never)
    drawn.canvas.draw()
    assert len(drawn.axes) == 2
    alone = made(LENGTHS[:1], OUTCOMES[:1], sizes=np.array([100]))
    transient_figure(alone).canvas.draw()
