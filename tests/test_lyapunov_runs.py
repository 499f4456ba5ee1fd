"""Runs that are continued, stopped at an accuracy, watched, refused; what they need of memory."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from lone_cells import Lorenz
from short_runs import CELL, run

import gatefield as gf
from gatefield.analysis.lyapunov import spectrum
from gatefield.analysis.lyapunov.frame import Carried, Path, _advanced
from gatefield.core.errors import InvalidInputError, NumericalFailureError
from gatefield.core.results import Status
from gatefield.networks.inputs import drive_of
from gatefield.networks.network import compilable


def test_a_continued_run_is_the_longer_run():
    """Intervals are found anew in each, so that logarithms differ by rounding."""
    whole = run(t_max=24.0, blocks=12, frame_burn_in=2.0)
    half = run(t_max=12.0, blocks=6, frame_burn_in=2.0)
    both = gf.lyapunov_spectrum(
        gf.Network.sample(CELL, 16, seed=1), t_max=12.0, resume=half, progress=False
    )
    np.testing.assert_allclose(both.block_exponents, whole.block_exponents, atol=1e-9)
    np.testing.assert_allclose(both.state, whole.state, atol=1e-9)
    assert dict(both.settings)["steps"] == dict(whole.settings)["steps"]


def test_a_run_of_another_network_is_not_continued():
    done = run()
    matrix = np.random.default_rng(0).standard_normal((16, 16)) / 4
    couplings = {name: matrix for name in CELL.field_names}
    for other in (gf.Network.sample(CELL, 16, seed=2), gf.Network.of_couplings(CELL, couplings)):
        with pytest.raises(InvalidInputError, match="one of this network"):
            gf.lyapunov_spectrum(other, t_max=1.0, resume=done)


def test_a_continued_run_keeps_its_options():
    network, done = gf.Network.sample(CELL, 16, seed=1), run()
    others: list[tuple[dict[str, Any], str]] = [
        ({"k": 5}, "k = 5: expected 48"),
        ({"inputs": {"h": 1.0}}, "those of the run that is continued"),
        ({"frame": "identity"}, "None beside resume"),
    ]
    for changes, words in others:
        with pytest.raises(InvalidInputError, match=words):
            gf.lyapunov_spectrum(network, t_max=2.0, resume=done, **changes)


@pytest.mark.slow
def test_standard_errors_are_the_scatter_of_runs():
    """Lorenz, 24 runs of 200: errors of 8 blocks, themselves known to 1/sqrt(14) each."""
    network = gf.Network.sample(Lorenz(), 1)
    runs = [run(network, t_max=200.0, dt=0.01, blocks=32, seed=seed) for seed in range(24)]
    scatter = np.std([each.exponents for each in runs], axis=0, ddof=1)
    reported = np.sqrt(np.mean([each.standard_errors**2 for each in runs], axis=0))
    # A standard deviation of 24 runs is known to 15 per cent; the frame's end terms fall like 1/t.
    assert np.all(scatter < 1.6 * reported)
    assert scatter[0] > reported[0] / 3 and scatter[2] > reported[2] / 3


def test_a_run_stops_when_it_is_accurate_enough():
    network = gf.Network.sample(Lorenz(), 1)
    options: dict[str, Any] = {"dt": 0.01, "blocks": 500, "seed": 0}
    found = run(network, t_max=5000.0, accuracy=0.05, **options)
    assert found.status is Status.OK and 16 <= len(found.block_exponents) < 500
    assert np.all(found.standard_errors <= 0.05)
    missed = run(network, t_max=400.0, accuracy=1e-6, throw=False, **options | {"blocks": 20})
    assert missed.status is Status.MAX_STEPS and len(missed.block_exponents) == 20
    with pytest.raises(NumericalFailureError, match="go on by resume="):
        run(network, t_max=400.0, accuracy=1e-6, **options | {"blocks": 20})


class Explosive(Lorenz):
    """dx/dt = x^2, which ends in finite time."""

    def rule(self, state, fields, drive):
        return {name: 1.0 + value**2 for name, value in state.items()}


def test_a_trajectory_that_diverges_is_said_to():
    network = gf.Network.sample(Explosive(), 2)
    with pytest.raises(NumericalFailureError, match=r"diverged.*Reduce dt"):
        run(network)
    assert run(network, throw=False).status is Status.DIVERGED


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"k": 0}, "k = 0: expected"),
        ({"k": 49}, "at most d N = 48"),
        ({"t_max": None}, "t_max = None: expected a duration"),
        ({"t_max": -1.0}, "positive"),
        ({"blocks": 1}, "blocks = 1"),
        ({"method": "tsit5"}, "'rk4'"),
        ({"frame_dtype": "float16"}, "'float32'"),
        ({"frame": "random"}, "'identity'"),
        ({"frame": np.zeros((48, 3, 16))}, "independent"),
        ({"frame": np.zeros((2, 3, 16))}, r"\(48, 3, 16\)"),
        ({"accuracy": 0.0}, "accuracy = 0.0"),
        ({"initial": np.zeros((2, 16))}, "initial"),
        ({"resume": 3}, "a LyapunovSpectrum"),
        ({"seed": -1}, "seed"),
        ({"accuracy": 0.1}, "at least 16, where an accuracy"),
        ({"inputs": np.zeros((64, 16))}, "mapping from drive names"),
        ({"frame": np.full((48, 3, 16), np.nan)}, "expected finite ones"),
    ],
    ids=[
        "no-exponents",
        "too-many",
        "no-time",
        "negative-time",
        "one-block",
        "method",
        "precision",
        "frame-name",
        "frame-rank",
        "frame-shape",
        "accuracy",
        "initial",
        "resume",
        "seed",
        "accuracy-blocks",
        "inputs",
        "frame-values",
    ],
)
def test_what_does_not_fit_is_refused(changes, words):
    with pytest.raises(InvalidInputError, match=words):
        run(**changes)


def test_progress_counts_every_step(monkeypatch, capsys):
    """In pieces of a few intervals, too; what is told besides are the leading exponents."""
    quiet = run()
    monkeypatch.setattr(spectrum, "_WORK", 16 * 48 * 48 * 3.0)
    told = run(progress=True)
    shown = capsys.readouterr().err
    assert "lambda" in shown and "195/195" in shown  # 60, 15, 120 of them
    np.testing.assert_allclose(told.exponents, quiet.exponents, rtol=1e-9)


def test_memory_is_that_of_three_frames():
    """What XLA sets aside for an interval: the frame, and at most two of its size beside it.

    With the copy that is kept in case the interval was too long, three.
    """
    network = gf.Network.sample(CELL, 400, seed=0)
    with jax.enable_x64(True):
        clean = compilable(network)
        path = Path(clean, drive_of(network, None), jnp.asarray(0.05), "rk4")
        frame = jnp.zeros((1200, 3, 400))
        carried = Carried(jnp.zeros((3, 400)), frame, jnp.asarray(0))
        count = jnp.asarray(4)
        lowered = _advanced.lower((path, None), carried, count, count).compile()
    memory = getattr(lowered, "compiled", lowered).memory_analysis()
    assert memory.alias_size_in_bytes >= frame.nbytes  # it is worked on in place
    assert memory.temp_size_in_bytes <= 2 * frame.nbytes
