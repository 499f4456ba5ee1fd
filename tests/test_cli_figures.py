"""The command ``gatefield figures``: several at once, what is there already, and the page."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pytest
import xarray as xr
from commands import run

from gatefield.cli import figures as command
from gatefield.cli.gallery import write_gallery
from gatefield.figures import FIGURES
from gatefield.figures.base import FigureResult


class Module:
    """A figure that is quick to compute: its number of computations, and what it was told."""

    def __init__(self):
        self.calls = []

    def compute(self, *, quick, seed, report):
        self.calls.append((quick, seed))
        report("at work")
        table = xr.Dataset({"x": ("k", [1.0, 2.0])})
        told = ("(a) alpha_r | rho: agree", "(b) first\n    and second: DISAGREE")
        return FigureResult({}, {}, {"table": table}, told)

    def figure(self, result):
        return plt.subplots()[0]


@pytest.fixture
def module(monkeypatch):
    stands_in = Module()
    monkeypatch.setattr(command, "load", lambda name: stands_in)
    return stands_in


def told(folder, *names, quick=True):
    options = ["--output", str(folder), "--formats", "svg"]
    return run("figures", *names, *options, *(["--quick"] if quick else []))


def test_what_is_there_is_not_computed_again(module, tmp_path):
    first = told(tmp_path, "fig01", "fig03")
    assert first.code == 0, first.error
    assert len(module.calls) == 2 and "alpha_r | rho" in first.text
    second = told(tmp_path, "fig01", "fig03")
    assert len(module.calls) == 2 and second.text.count("--again") == 2
    again = run("figures", "fig03", "--quick", "--again", "--output", str(tmp_path))
    assert again.code == 0 and len(module.calls) == 3


def test_other_options_lost_or_broken_files_are_made_anew(module, tmp_path):
    told(tmp_path, "fig01")
    told(tmp_path, "fig01", quick=False)
    assert module.calls == [(True, 0), (False, 0)]
    told(tmp_path, "fig01", quick=False)
    assert len(module.calls) == 2
    run("figures", "fig01", "--seed", "1", "--output", str(tmp_path), "--formats", "svg")
    assert module.calls[-1] == (False, 1)
    (tmp_path / "fig01.svg").unlink()
    run("figures", "fig01", "--seed", "1", "--output", str(tmp_path), "--formats", "svg")
    assert len(module.calls) == 4
    (tmp_path / "fig01.nc").write_bytes(b"no data")
    assert told(tmp_path, "fig01").code == 0
    assert len(module.calls) == 5


def test_an_interrupted_run_goes_on(module, tmp_path, monkeypatch):
    """Ctrl-C in the third figure: the first two are whole, and are not computed again."""
    names = ["fig01", "fig03", "fig04"]
    compute = module.compute

    def stopped(**options):
        if len(module.calls) == 2:
            raise KeyboardInterrupt
        return compute(**options)

    monkeypatch.setattr(module, "compute", stopped)
    assert told(tmp_path, *names).code == 130
    assert {one.name for one in tmp_path.iterdir()} == {
        f"{name}.{kind}" for name in names[:2] for kind in ("svg", "nc")
    }
    monkeypatch.setattr(module, "compute", compute)
    assert told(tmp_path, *names).code == 0
    assert len(module.calls) == 3


def test_all_makes_every_figure_and_a_page(module, tmp_path, monkeypatch):
    monkeypatch.setattr(command.phases, "run", lambda config, console: 1)
    ran = told(tmp_path, "all")
    assert ran.code == 1  # that of the phase diagram, whose networks disagree here
    assert len(module.calls) == len(FIGURES) - 1
    page = (tmp_path / "gallery.md").read_text()
    for name, title in FIGURES.items():
        assert (f"![{name}]({name}.svg)" in page) == (name != "fig07")
        assert (title in page) == (name != "fig07")
    assert r"- (a) alpha\_r \| rho: agree" in page
    assert "- (b) first; and second: DISAGREE" in page
    assert "`gatefield figures fig01 --quick`" in page and "## Marginal" in page


def test_the_page_needs_picture_and_data(module, tmp_path):
    told(tmp_path, "fig01", "fig03")
    (tmp_path / "fig03.svg").unlink()
    page = write_gallery(tmp_path, ["fig01", "fig03", "fig04"], quick=False).read_text()
    assert "## Figure 1:" in page and "Figure 3" not in page and "Figure 4" not in page


def test_unknown_names_are_refused_before_anything_is_computed(module, tmp_path):
    ran = told(tmp_path, "fig01", "fig99")
    assert ran.code == 2 and "fig99" in ran.error and not module.calls
