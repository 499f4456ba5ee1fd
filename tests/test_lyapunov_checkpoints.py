"""Runs that are killed or interrupted end with the numbers they would have had."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path as File
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from short_runs import CELL, ONES, OPTIONS, alike, run

import gatefield as gf
from gatefield.analysis.lyapunov import checkpoint, spectrum
from gatefield.core.checkpoints import fingerprint
from gatefield.core.errors import InvalidInputError
from gatefield.networks.inputs import drive_of


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
        assert fingerprint(first) != fingerprint(second)


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

    monkeypatch.setattr(np, "savez", full)
    with pytest.warns(RuntimeWarning, match="No space left on device"):
        found = run(checkpoint=tmp_path / "run.npz")
    alike(found, run())
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_that_cannot_be_written_is_refused_at_once(tmp_path):
    with pytest.raises(InvalidInputError, match="a file in a folder that can be written to"):
        run(checkpoint=tmp_path / "missing" / "run.npz")
