"""Runs that are killed, continued, stopped at an accuracy, refused; several runs at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path as File
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from lone_cells import LinearFlow, LinearMap, Lorenz

import gatefield as gf
from gatefield.analysis.lyapunov import checkpoint, spectrum
from gatefield.analysis.lyapunov.frame import Carried, Path, _advanced
from gatefield.core.errors import InvalidInputError, NumericalFailureError
from gatefield.core.results import Status
from gatefield.networks import Layer
from gatefield.networks.inputs import drive_of
from gatefield.networks.network import compilable

CELL = gf.GatedRNN(4.0, alpha_r=2.0)
ONES = np.ones((3, 16))
OPTIONS: dict[str, Any] = {"t_max": 12.0, "burn_in": 6.0, "blocks": 6, "dt": 0.1, "seed": 3}


def run(network: gf.Network | None = None, **changes: Any) -> gf.LyapunovSpectrum:
    network = gf.Network.sample(CELL, 16, seed=1) if network is None else network
    options: dict[str, Any] = OPTIONS | {"progress": False} | changes
    return gf.lyapunov_spectrum(network, **options)


def alike(first: gf.LyapunovSpectrum, second: gf.LyapunovSpectrum) -> None:
    for name in ("exponents", "standard_errors", "block_exponents", "state", "frame"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


# ---------------------------------------------------------------- checkpoints


class Killed(Exception):
    """Stands for whatever ends a run."""


@pytest.mark.parametrize("pieces", [2, 5, 9], ids=["burn-in", "frame", "blocks"])
def test_a_run_that_was_killed_ends_with_the_same_numbers(monkeypatch, tmp_path, pieces):
    """Killed while the state settles, while the frame does, and between two blocks."""
    whole, path = run(), tmp_path / "run.npz"
    further, count = spectrum._further, 0

    def mortal(*arguments):
        nonlocal count
        count += 1
        if count > pieces:
            raise Killed
        return further(*arguments)

    monkeypatch.setattr(spectrum, "_SAVE_EVERY", -1.0)
    monkeypatch.setattr(spectrum, "_further", mortal)
    with pytest.raises(Killed):
        run(checkpoint=path)
    assert path.exists() and list(tmp_path.iterdir()) == [path]
    monkeypatch.setattr(spectrum, "_further", further)
    alike(run(checkpoint=path), whole)
    # Done: nothing is left to do.
    monkeypatch.setattr(spectrum, "_further", None)
    alike(run(checkpoint=path), whole)


@pytest.mark.slow
def test_a_process_that_is_killed_leaves_a_checkpoint(tmp_path):
    """By SIGKILL, which no program can answer."""
    path = tmp_path / "run.npz"
    options = {**OPTIONS, "t_max": 1000.0, "blocks": 1000}
    script = f"""
        import gatefield as gf
        from gatefield.analysis.lyapunov import spectrum
        spectrum._SAVE_EVERY = -1.0
        network = gf.Network.sample(gf.GatedRNN(4.0, alpha_r=2.0), 16, seed=1)
        gf.lyapunov_spectrum(network, checkpoint={str(path)!r}, progress=False, **{options!r})
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], env=os.environ)
    try:
        while not path.exists() or checkpoint_blocks(path) < 3:
            assert process.poll() is None
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert 3 <= checkpoint_blocks(path) < 1000
    alike(run(checkpoint=path, **options), run(**options))


def checkpoint_blocks(path: File) -> int:
    with np.load(path, allow_pickle=False) as stored:
        return len(stored["logs"])


def test_checkpoints_of_other_runs_are_refused(tmp_path):
    path = tmp_path / "run.npz"
    run(checkpoint=path)
    others: list[dict[str, Any]] = [
        {"seed": 4},
        {"t_max": 24.0},
        {"inputs": {"h": 0.1}},
        {"initial": 0.1 * ONES},
    ]
    for changes in others:
        with pytest.raises(InvalidInputError, match="a run of this network with these options"):
            run(checkpoint=path, **changes)
    other = gf.Network.sample(CELL, 16, seed=2)
    with pytest.raises(InvalidInputError, match="Remove it to begin anew"):
        run(other, checkpoint=path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no archive", b"\x80\x04pickle"])
def test_damaged_checkpoints_are_named(tmp_path, content):
    path = tmp_path / "run.npz"
    path.write_bytes(content)
    with pytest.raises(InvalidInputError, match="expected a file that lyapunov_spectrum wrote"):
        run(checkpoint=path)
    assert path.read_bytes() == content


def cosine(amplitude: float) -> Any:
    return lambda time: amplitude * jnp.cos(time)


def test_fingerprints_tell_functions_shapes_and_options_apart():
    """Concatenated, 1 and 23 are 12 and 3; zeros (4,) are zeros (2, 2)."""
    network = gf.Network.sample(gf.VanillaRNN(), 4)
    with jax.enable_x64(True):
        drives = [drive_of(network, {"h": cosine(each)}) for each in (1.0, 9.0, 1.0)]
        told = [checkpoint.fingerprint_of_drive(drive, is_map=False) for drive in drives]
    assert told[0] == told[2] != told[1]
    pairs: list[tuple[Any, Any]] = [
        ({"a": 1, "b": 23}, {"a": 12, "b": 3}),
        (np.zeros(4), np.zeros((2, 2))),
        (np.zeros(2), np.zeros(4, np.float32)),
        ({"a": None}, {"a": 0}),
        (np.zeros(3_000_000), np.append(np.zeros(2_999_999), 1.0)),
    ]
    for first, second in pairs:
        assert checkpoint.fingerprint(first) != checkpoint.fingerprint(second)


def test_an_interrupt_is_a_checkpoint(monkeypatch, tmp_path):
    whole, path, further, count = run(), tmp_path / "run.npz", spectrum._further, 0

    def interrupted(*arguments):
        nonlocal count
        count += 1
        if count > 8:
            raise KeyboardInterrupt
        return further(*arguments)

    monkeypatch.setattr(spectrum, "_further", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(checkpoint=path)
    monkeypatch.setattr(spectrum, "_further", further)
    assert checkpoint_blocks(path) > 0
    alike(run(checkpoint=path), whole)


def test_a_full_disk_does_not_end_the_run(monkeypatch, tmp_path):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint.np, "savez", full)
    with pytest.warns(RuntimeWarning, match="No space left on device"):
        found = run(checkpoint=tmp_path / "run.npz")
    alike(found, run())
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_that_cannot_be_written_is_refused_at_once(tmp_path):
    with pytest.raises(InvalidInputError, match="a file in a folder that can be written to"):
        run(checkpoint=tmp_path / "missing" / "run.npz")


# ---------------------------------------------------------------- continuing, stopping


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


# ---------------------------------------------------------------- maps that are not invertible


def test_directions_that_are_lost_have_minus_infinity():
    """x' = J x with J of rank 3 among 5; eigenvalues 0.9, 0.5, 0.2."""
    network = gf.Network.of_couplings(LinearMap(), {"x": np.diag([0.9, 0.5, 0.2, 0.0, 0.0])})
    found = gf.lyapunov_spectrum(network, t_max=64, burn_in=0, initial=np.zeros((1, 5)))
    np.testing.assert_allclose(found.exponents[:3], np.log([0.9, 0.5, 0.2]), atol=1e-12)
    assert np.all(np.isneginf(found.exponents[3:])) and np.all(np.isnan(found.standard_errors[3:]))
    assert found.kaplan_yorke_dimension == 0 and found.kaplan_yorke_error == 0


def test_lengths_below_rounding_are_lost_however_couplings_are_written():
    """The same rank in another basis, where zeros are 1e-17."""
    basis = np.linalg.qr(np.random.default_rng(0).standard_normal((5, 5)))[0]
    matrix = basis @ np.diag([0.9, 0.5, 0.2, 0.0, 0.0]) @ basis.T
    network = gf.Network.of_couplings(LinearMap(), {"x": matrix})
    found = gf.lyapunov_spectrum(network, t_max=320, burn_in=0, initial=np.zeros((1, 5)))
    np.testing.assert_allclose(found.exponents[:3], np.log([0.9, 0.5, 0.2]), atol=1e-9)
    assert np.all(np.isneginf(found.exponents[3:]))


@pytest.mark.parametrize("size", [1e4, 1e8], ids=["4", "8"])
def test_fast_growth_of_one_direction_leaves_the_others_right(size):
    """Orthogonal couplings but for one direction; 60 rows are several blocks."""
    basis = np.linalg.qr(np.random.default_rng(2).standard_normal((60, 60)))[0]
    values = np.append(size, np.linspace(0.5, 1.5, 59))
    network = gf.Network.of_couplings(LinearMap(), {"x": basis @ np.diag(values) @ basis.T})
    found = gf.lyapunov_spectrum(
        network, t_max=600, burn_in=0, frame_burn_in=400, initial=np.zeros((1, 60))
    )
    exact = -np.sort(-np.log(values))
    np.testing.assert_allclose(found.exponents[0], exact[0], rtol=1e-12)
    # Rounding of the largest, eps size, is what the others can be wrong by.
    assert np.sum(found.exponents) == pytest.approx(np.sum(exact), abs=1e-13 * size + 1e-9)


# ---------------------------------------------------------------- driven


class Gain(eqx.Module):
    """A weak drive, and a strong one from a time on."""

    begins: float

    def __call__(self, time: Any) -> Any:
        return jnp.where(time < self.begins, 0.05, 30.0)


class Scaled(LinearFlow):
    """dx/dt = I(t) J x."""

    def rule(self, state, fields, drive):
        return {"x": drive["x"] * fields["x"]}


def test_an_interval_that_turns_out_too_long_is_made_again_shorter():
    """Symmetric couplings: growth is eigenvalue times the integral of the drive, exactly."""
    drawn = np.random.default_rng(0).standard_normal((40, 40)) / np.sqrt(40)
    matrix = (drawn + drawn.T) / 2
    network = gf.Network.of_couplings(Scaled(), {"x": matrix})
    frame = np.linalg.eigh(matrix)[1].T[::-1]
    found = gf.lyapunov_spectrum(
        network,
        t_max=100.0,
        blocks=4,
        dt=0.01,
        burn_in=0.0,
        frame_burn_in=25.0,
        initial=np.zeros((1, 40)),
        frame=frame[:, None],
        inputs={"x": Gain(75.0)},
        progress=False,
    )
    expected = np.linalg.eigvalsh(matrix)[::-1] * np.array([[0.05], [0.05], [30.0], [30.0]])
    # Runge-Kutta steps of 30 x .01 lose (.3 x 1.5)^5 / 120 of the exponential. The last stage of
    # the second block's last step sees the strong drive: 30 x 1.5 x .01 / 6 / 25.
    np.testing.assert_allclose(found.block_exponents, expected, rtol=1e-3, atol=3.1e-3)


class Wave(eqx.Module):
    """A drive whose amplitude is known."""

    amplitude: float

    def __call__(self, time: Any) -> Any:
        return self.amplitude * jnp.sin(time)


def test_strong_inputs_quench_chaos():
    """Conditional exponents: a large common input drives units into saturation."""
    network = gf.Network.sample(gf.VanillaRNN(4.0), 150, seed=1)
    options: dict[str, Any] = {"t_max": 60.0, "burn_in": 40.0, "seed": 0, "blocks": 12}
    free = run(network, k=3, **options)
    driven = run(network, k=3, inputs={"h": Wave(20.0)}, **options)
    assert free.exponents[0] > 3 * free.standard_errors[0]
    assert driven.exponents[0] < -3 * driven.standard_errors[0]


@pytest.mark.slow
def test_along_a_series_the_run_takes_its_length():
    network = gf.Network.sample(gf.GRU(), 10, seed=0)
    series = gf.Series(np.random.default_rng(0).standard_normal((400, 10)))
    found = gf.lyapunov_spectrum(network, inputs={"n": series}, progress=False)
    assert dict(found.settings)["steps"] == 400 and found.is_map
    # By hand: burn-ins of 40, then the mean of ln |det|.
    path = gf.simulate(
        network, 400, inputs={"n": series}, initial=state_of(network), progress=False
    )
    logs = [
        np.linalg.slogdet(
            gf.jacobian(network, path.states[step], inputs={"n": series}, time=step).as_matrix()
        )[1]
        for step in range(80, 400)
    ]
    assert np.sum(found.exponents) == pytest.approx(np.mean(logs), rel=1e-9)
    with pytest.raises(InvalidInputError, match="at most 400 steps"):
        gf.lyapunov_spectrum(network, t_max=400, inputs={"n": series})


def state_of(network: gf.Network) -> np.ndarray:
    """Return the initial state of seed 0, as a run without burn-in shows it."""
    still = gf.Network.of_couplings(LinearMap(), {"x": np.eye(network.n)})
    return gf.lyapunov_spectrum(still, t_max=2, burn_in=0, blocks=2, frame_burn_in=0).state


# ---------------------------------------------------------------- several at once


@pytest.mark.slow
def test_several_runs_are_the_single_runs(tmp_path):
    networks = [gf.Network.sample(CELL, 10, seed=seed) for seed in range(2)]
    options: dict[str, Any] = {"t_max": 8.0, "burn_in": 4.0, "dt": 0.1, "blocks": 4}
    found = gf.lyapunov_spectra(
        networks, 5, starts=3, seed=7, checkpoint=tmp_path, progress=False, **options
    )
    assert found.exponents.shape == (6, 5) and len(list(tmp_path.iterdir())) == 6
    for row, (number, start) in enumerate(zip(found.network, found.start, strict=True)):
        single = gf.lyapunov_spectrum(networks[number], 5, seed=7 + start, **options)
        np.testing.assert_array_equal(found.exponents[row], single.exponents)
    by_network = found.exponents.reshape(2, 3, 5).mean(axis=1)
    np.testing.assert_allclose(found.mean, by_network.mean(axis=0))
    np.testing.assert_allclose(
        found.standard_errors, np.abs(by_network[0] - by_network[1]) / 2, rtol=1e-12
    )
    data = found.to_dataset()
    assert data["exponents"].dims == ("run", "rank") and "spectra" not in data.attrs
    again = gf.lyapunov_spectra(
        networks, 5, starts=3, seed=7, checkpoint=tmp_path, progress=False, **options
    )
    np.testing.assert_array_equal(again.exponents, found.exponents)


def test_one_network_takes_its_error_from_its_initial_states():
    network = gf.Network.sample(CELL, 10, seed=0)
    options: dict[str, Any] = {"t_max": 8.0, "burn_in": 4.0, "dt": 0.1, "blocks": 4}
    starts = np.random.default_rng(0).standard_normal((3, 3, 10))
    found = gf.lyapunov_spectra(network, 2, initial=list(starts), progress=False, **options)
    scatter = found.exponents.std(axis=0, ddof=1) / np.sqrt(3)
    np.testing.assert_allclose(found.standard_errors, scatter, rtol=1e-12)
    single = gf.lyapunov_spectra(network, 2, progress=False, **options)
    np.testing.assert_array_equal(single.standard_errors, single.spectra[0].standard_errors)


def test_networks_of_different_sizes_need_a_number_of_exponents():
    networks = [gf.Network.sample(CELL, n, seed=0) for n in (6, 8)]
    with pytest.raises(InvalidInputError, match=r"d N in \[18, 24\]"):
        gf.lyapunov_spectra(networks, t_max=4.0)


def test_memory_is_that_of_three_frames():
    """What XLA sets aside for an interval: the frame, and at most two of its size beside it.

    With the copy that is kept in case the interval was too long, three.
    """
    import jax

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


# ---------------------------------------------------------------- stacks


def stacked(n: int = 6) -> gf.LayeredNetwork:
    """Return two layers of strong couplings."""
    rng = np.random.default_rng(5)
    layers = []
    for depth, features in ((0, 3), (1, n)):
        couplings = {"h": rng.standard_normal((n, n)) * (1.6 - depth) / np.sqrt(n)}
        network = gf.Network.of_couplings(gf.ElmanRNN(), couplings)
        layers.append(Layer(network, {"h": rng.standard_normal((n, features)) / 3}, depth=depth))
    return gf.LayeredNetwork(layers)


def test_exponents_of_a_stack_are_those_of_its_layers():
    stack, inputs = stacked(), np.random.default_rng(0).standard_normal((500, 3))
    found = gf.lyapunov_spectrum(stack, inputs=inputs, progress=False)
    received = stack.layer_inputs(inputs)
    for place, (layer, own) in enumerate(zip(stack.layers, received, strict=True)):
        start = np.zeros((1, 6))
        alone = gf.lyapunov_spectrum(layer.network, inputs=own, initial=start, progress=False)
        np.testing.assert_array_equal(found.exponents[found.layer == place], alone.exponents)
    assert found.exponents.size == found.size == 12 and found.complete and found.certain == 12
    assert np.all(np.diff(found.exponents) <= 0)
    data = found.to_dataset()
    assert data["layer"].dims == data["exponents"].dims == ("rank",)


def test_of_a_stack_only_what_surely_is_largest_enters_the_dimension():
    """Two exponents of each layer: others of the first lie above the second's."""
    stack, inputs = stacked(), np.random.default_rng(0).standard_normal((500, 3))
    whole = gf.lyapunov_spectrum(stack, inputs=inputs, progress=False)
    few = gf.lyapunov_spectrum(stack, 2, inputs=inputs, progress=False)
    assert few.exponents.size == 4 and 2 <= few.certain < 4
    np.testing.assert_allclose(
        few.exponents[: few.certain], whole.exponents[: few.certain], atol=0.05
    )


def test_what_a_stack_cannot_do_is_refused(tmp_path):
    inputs = np.zeros((100, 3))
    others: list[dict[str, Any]] = [{"checkpoint": tmp_path / "run.npz"}, {"frame": "identity"}]
    for changes in others:
        with pytest.raises(InvalidInputError, match="None for a LayeredNetwork"):
            gf.lyapunov_spectrum(stacked(), inputs=inputs, **changes)
