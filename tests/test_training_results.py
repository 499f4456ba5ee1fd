"""The training study's files and tables: resuming, stale curves, censoring, and the page."""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from benchmarks.training import page, results, starts, study, summary, table
from benchmarks.training.curves import curves_figure
from benchmarks.training.initialisations import default
from benchmarks.training.results import Run
from benchmarks.training.tasks import task
from benchmarks.training.train import Curve, Settings, train

import gatefield as gf

# One compilation serves the study, the short task that is learned, and the run that diverges.
SHORT = Settings(hidden=16, batch=32, steps=300, every=100, rate=1e-2, tested=500)
FOLDER = Path(study.__file__).parent / "results"
ADDING = task("adding", 6)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, list[Run]]:
    """Return a folder with a whole short study, which was interrupted once."""
    folder = tmp_path_factory.mktemp("study")
    runs = study.grid({("adding-6", "gru"): SHORT}, ["default", "orthogonal"], (0, 1))
    assert study.study(dict(list(runs.items())[:3]), folder, progress=False) == 3
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert study.study(runs, folder, progress=False) == 1
    assert {path.name: path.read_bytes() for path in folder.iterdir()}.items() >= before.items()
    assert study.study(runs, folder, progress=False) == 0
    return folder, list(runs)


def test_a_study_goes_on_where_it_was_and_repeats_itself(finished, tmp_path):
    folder, runs = finished
    assert sorted(path.name for path in folder.iterdir()) == [
        f"adding-6.gru.{name}.{seed}.json" for name in ("default", "orthogonal") for seed in (0, 1)
    ]
    study.study({runs[2]: SHORT}, tmp_path, progress=False)
    name = f"{runs[2].name}.json"
    assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()
    losses = set()
    for run in results.all_runs(folder):
        held = results.read(folder, run)
        assert held is not None and held.settings == SHORT and held.gatefield == gf.__version__
        losses.add(float(held.curve.loss[-1]))
    assert len(losses) == 4  # seeds and initialisations differ


def test_a_short_task_is_learned_by_a_small_network(finished):
    folder, runs = finished
    for run in runs:
        held = results.read(folder, run)
        assert held is not None
        np.testing.assert_array_equal(held.curve.steps, [0, 100, 200, 300])
        # Without the input its best is chance, which 500 tests know to 5 per cent.
        assert held.curve.loss[-1] < 0.2 * ADDING.chance < held.curve.loss[0]
        assert np.isfinite(held.curve.gradient[1:]).all() and np.isnan(held.curve.accuracy).all()


def test_a_run_that_diverges_stands_still_and_says_so():
    weights = default(ADDING, "gru", 16, 0)
    weights["readout"] = np.full_like(weights["readout"], np.inf)
    assert not np.isfinite(train(ADDING, "gru", weights, SHORT).loss).any()


def test_other_settings_in_the_same_folder_are_refused(finished):
    folder, runs = finished
    with pytest.raises(ValueError, match="choose another folder"):
        study.study({run: SHORT._replace(rate=0.1) for run in runs}, folder, progress=False)


def test_a_file_is_standard_json_and_names_its_start(finished):
    folder, runs = finished
    path = results.path_of(folder, runs[0])

    def refused(name: str):
        raise AssertionError(f"{name} is no number of JSON")

    held = json.loads(path.read_text(), parse_constant=refused)
    # No accuracy in the adding problem, and no gradient before the first step.
    assert held["accuracy"] == [None] * 4 and held["gradient"][0] is None
    assert held["gatefield"] == gf.__version__
    assert held["start"] == results.hash_of(study.start(runs[0], SHORT))
    found = results.read(folder, runs[0])
    assert found is not None and np.isnan(found.curve.accuracy).all()


def test_a_run_that_diverged_is_read_as_it_was_written(tmp_path):
    run = Run(ADDING, "gru", "default", 0)
    written = curve(1, np.inf, np.inf)
    results.write(tmp_path, run, SHORT, "0", written)
    found = results.read(tmp_path, run)
    assert found is not None
    for column, other in zip(found.curve, written, strict=True):
        np.testing.assert_allclose(column, other, rtol=1e-4)


def test_hashes_tell_starts_apart_and_overlook_rounding():
    weights = {"a": np.array([0.1, -0.2]), "b": np.zeros((2, 1))}
    known = results.hash_of(weights)
    assert results.hash_of({"b": weights["b"], "a": weights["a"] * (1 + 1e-12)}) == known
    others = [
        weights | {"a": weights["a"] + 1e-5},
        weights | {"b": np.zeros((1, 2))},
        {"a": weights["b"], "b": weights["a"]},
    ]
    assert known not in map(results.hash_of, others)


def test_a_curve_of_another_start_is_refused(finished, tmp_path):
    folder, runs = finished
    name = results.path_of(folder, runs[0]).name
    held = json.loads((folder / name).read_text())
    (tmp_path / name).write_text(json.dumps(held | {"start": "0"}))
    with pytest.raises(ValueError, match="out of date"):
        study.study({runs[0]: SHORT}, tmp_path, progress=False)
    with pytest.raises(ValueError, match="out of date"):
        summary.gathered(tmp_path)


def test_the_table_refuses_settings_that_differ_and_unknown_names(finished, tmp_path):
    folder, runs = finished
    for run in runs[:2]:
        held = json.loads(results.path_of(folder, run).read_text())
        held["settings"]["rate"] = 0.1 * (1 + runs.index(run))
        results.path_of(tmp_path, run).write_text(json.dumps(held))
    with pytest.raises(ValueError, match=r"rate=0.2.*rate=0.1"):
        summary.gathered(tmp_path)
    results.path_of(tmp_path, runs[1]).rename(tmp_path / "adding-6.gru.long.1.json")
    with pytest.raises(ValueError, match="does not have"):
        summary.gathered(tmp_path)


def test_the_curves_of_the_repository_begin_with_the_weights_that_are_drawn_now():
    # `gathered` refuses others.
    found = summary.gathered(FOLDER)
    assert {(task.title, model): row.settings for (task, model), row in found.items()} == study.PLAN


def test_the_page_has_the_tables_of_the_files(monkeypatch):
    text = (FOLDER.parents[2] / page.PAGE).read_text()
    found = summary.gathered(FOLDER)
    assert page.part(text, "tables").strip() == table.markdown(found).strip()
    monkeypatch.setattr(starts, "measured", None)  # all are in the file
    held = starts.starts(starts.runs_of(), FOLDER / starts.FILE, progress=False)
    assert page.part(text, "starts").strip() == starts.markdown(held, found).strip()


def curve(*losses: float) -> Curve:
    steps = 10 * np.arange(len(losses))
    loss = np.array(losses) / 6  # in units of the adding problem's chance
    return Curve(steps, loss, np.full(loss.shape, np.nan), np.ones(loss.shape))


EARLY, LATE, NEVER = curve(1, 0.09, 0.05), curve(1, 0.11, 0.01), curve(1, 1, 0.8)
BACK = curve(1, 0.09, 0.5)


def test_steps_until_learned_are_told_with_their_censoring():
    found = summary.seeds(ADDING, [BACK, LATE, NEVER])
    np.testing.assert_array_equal(found.reached, [10, 20, np.inf])
    np.testing.assert_array_equal(found.relapsed, [True, False, False])
    assert table.median_steps(found) == "20 (2/3, 1 relapsed)"
    assert table.median_steps(summary.seeds(ADDING, [EARLY, NEVER, NEVER])) == "> 20 (1/3)"
    # Of an even number the later one: the earlier would hide that half did not learn.
    assert table.median_steps(summary.seeds(ADDING, [EARLY, EARLY, NEVER, NEVER])) == "> 20 (2/4)"
    assert table.final_loss(found) == "0.5 (0.01 to 0.8)"
    diverged = summary.seeds(ADDING, [curve(1, np.inf, np.inf)] * 3)
    assert table.final_loss(diverged).startswith("diverged")


def test_fewer_than_three_seeds_have_no_median():
    found = summary.seeds(ADDING, [BACK, NEVER])
    assert table.median_steps(found) == "10 (relapsed), > 20"
    assert table.final_loss(found) == "0.5, 0.8"


def test_who_was_first_counts_pairs_and_halves_ties():
    curves = (EARLY, LATE, NEVER)
    same = summary.seeds(ADDING, curves)
    assert summary.first(same, same) == 0.5
    for some in permutations(curves, 2):
        other = summary.seeds(ADDING, some)
        assert summary.first(same, other) + summary.first(other, same) == pytest.approx(1)
    # Early is before late and never: 2 of 2; late before one, and never ties with one.
    assert summary.first(same, summary.seeds(ADDING, [LATE, NEVER])) == pytest.approx(4 / 6)


def test_table_and_figure_show_every_row(finished):
    found = summary.gathered(finished[0])
    ((known, model),) = found
    assert (known.title, model) == ("adding-6", "gru")
    lines = table.markdown(found).splitlines()
    rows = [line for line in lines if line.startswith("| adding-6 | gru | 0.01 | 300 | 2 |")]
    assert len(rows) == 2
    ax = curves_figure(found).axes[0]
    drawn = [np.asarray(line.get_ydata()) for line in ax.lines if np.size(line.get_xdata()) == 4]
    wanted = [each for one in found[known, model].seeds.values() for each in one.loss]
    np.testing.assert_allclose(drawn, wanted, rtol=1e-12)
    three = summary.seeds(known, [EARLY, LATE, NEVER])
    row = summary.Row(SHORT, {"default": three, "critical": three})
    ax = curves_figure({(known, model): row}).axes[0]
    medians = [line for line in ax.lines if np.size(line.get_xdata()) == 3]
    np.testing.assert_allclose(np.asarray(medians[0].get_ydata()), [1, 0.11, 0.05], rtol=1e-12)
    assert "| adding-6 | gru | 0.5 / - / - |" in table.markdown({(known, model): row})


def test_a_page_is_filled_between_its_comments_alone(tmp_path):
    path = tmp_path / "page.md"
    path.write_text("before <!-- tables --> old <!-- end of tables --> after")
    page.fill(path, "tables", "new\n")
    page.fill(path, "tables", "newer\n")
    wanted = "before <!-- tables -->\n\nnewer\n\n<!-- end of tables --> after"
    assert path.read_text() == wanted
    assert page.part(wanted, "tables").strip() == "newer"
    for broken in ("nothing", wanted + wanted, "<!-- end of tables --> <!-- tables -->"):
        with pytest.raises(ValueError, match="once each"):
            page.part(broken, "tables")
