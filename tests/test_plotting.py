"""Figures show the numbers they are given."""

from __future__ import annotations

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest

import gatefield as gf
from gatefield import plotting
from gatefield.core.errors import InvalidInputError
from gatefield.figures import fig07


@pytest.fixture(scope="module")
def diagram():
    return gf.phase_diagram(np.linspace(1.3, 7, 60), np.linspace(0, 40, 50), tau_r=0.0)


def test_diagram_shows_its_lines_and_regions(diagram):
    ax = plotting.plot_phase_diagram(diagram)
    drawn = [np.asarray(line.get_xydata()) for line in ax.get_lines()]
    on_line = np.isfinite(diagram.fixed_point_line)
    expected = np.stack([diagram.g_h, diagram.fixed_point_line], axis=1)[on_line]
    assert any(len(xy) == 60 and np.array_equal(xy[on_line], expected) for xy in drawn)
    assert {text.get_text() for text in ax.texts} == {"1", "2", "3", "4", "5"}
    assert ax.get_xlabel() and ax.get_ylabel()
    plt.close("all")


def test_axes_are_drawn_on_when_given(diagram):
    _, ax = plt.subplots()
    assert plotting.plot_phase_diagram(diagram, ax=ax) is ax
    plt.close("all")


def test_style_does_not_leak(diagram):
    before = plt.rcParams["font.size"]
    figure = fig07.figure(diagram, diagram)
    assert len(figure.axes) == 2
    assert plt.rcParams["font.size"] == before
    plt.close("all")


def test_figures_are_saved_in_every_format(diagram, tmp_path):
    paths = plotting.save_figure(fig07.figure(diagram), tmp_path / "f", plotting.FORMATS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f.pdf", "f.png", "f.svg"]
    assert all(path.stat().st_size > 1000 for path in paths)
    with pytest.raises(InvalidInputError, match="gif"):
        plotting.save_figure(fig07.figure(diagram), tmp_path / "f", ("gif",))
    plt.close("all")
