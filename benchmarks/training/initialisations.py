"""Where training starts: PyTorch's default, orthogonal, chrono, and gatefield's recipes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from benchmarks.training.models import DT, MODELS
from benchmarks.training.tasks import Task

from gatefield.initialise.recipes import critical_cell, marginal_cell


def default(task: Task, model: str, n: int, seed: int) -> dict[str, np.ndarray]:
    """Draw every entry between -1/sqrt(N) and 1/sqrt(N), as PyTorch's modules do.

    Parameters
    ----------
    task
        Whose features and outputs the weights have.
    model
        One of `MODELS`; PyTorch has no gated RNN, which is drawn like the others.
    n
        Units.
    seed
        Of the draw.

    Returns
    -------
    dict
        The weights, see `models.Weights`.
    """
    rows = len(MODELS[model].fields) * n
    shapes = {"weight_ih": (rows, task.features), "weight_hh": (rows, n)}
    names = ("bias",) if model == "gated" else ("bias_ih", "bias_hh")
    shapes |= dict.fromkeys(names, (rows,))
    shapes |= {"readout": (task.outputs, n), "readout_bias": (task.outputs,)}
    rng = np.random.default_rng([seed, 0])
    return {name: rng.uniform(-1, 1, shape) / np.sqrt(n) for name, shape in shapes.items()}


def orthogonal(task: Task, model: str, n: int, seed: int) -> dict[str, np.ndarray]:
    """Make each field's block of weight_hh orthogonal; the rest is the default."""
    weights = default(task, model, n, seed)
    rng = np.random.default_rng([seed, 1])
    blocks = [_rotation(rng, n) for _ in MODELS[model].fields]
    return weights | {"weight_hh": np.concatenate(blocks)}


def _rotation(rng: np.random.Generator, n: int) -> np.ndarray:
    """Draw from Haar's measure, as torch.nn.init.orthogonal_ does."""
    q, r = np.linalg.qr(rng.normal(size=(n, n)))
    return q * np.sign(np.diag(r))


def chrono(task: Task, model: str, n: int, seed: int) -> dict[str, np.ndarray]:
    """Spread the time in which a gate forgets evenly from 2 steps to all of the sequence.

    The bias of the LSTM's forget gate is ln U(1, T - 1) and that of its input gate the opposite;
    that of the GRU's z is ln U(1, T - 1); the sum of PyTorch's two biases is meant. The other
    biases are zero, the rest is the default.

    References
    ----------
    Tallec and Ollivier, arXiv:1804.11188.
    """
    weights = default(task, model, n, seed)
    times = np.random.default_rng([seed, 2]).uniform(2, task.steps, n)
    return weights | biases(model, n, keep_bias(model, times))


def keep_bias(model: str, times: np.ndarray) -> dict[str, np.ndarray]:
    """Return the biases of gates that forget within these times, in steps.

    Of the GRU ln(t - 1); of the LSTM's forget gate the same, and the opposite at its input gate.
    The gated RNN's Euler step forgets DT sigma_z: it is -ln(DT t - 1), and no time is shorter than
    2 / DT steps, where the gate stands half open.
    """
    if model == "vanilla":
        raise ValueError("the vanilla network has no gate that keeps: chrono is not defined for it")
    if model == "gated":
        return {"z": -np.log(DT * np.maximum(times, 2 / DT) - 1)}
    keep = np.log(times - 1)
    return {"z": keep} if model == "gru" else {"f": keep, "i": -keep}


def biases(model: str, n: int, given: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return a model's bias vectors: these for the named fields, zero for the others."""
    rows = [np.broadcast_to(given.get(name, 0.0), n) for name in MODELS[model].fields]
    if model == "gated":
        return {"bias": np.concatenate(rows)}
    other = given.get("hn", 0.0)
    zeros = [np.broadcast_to(other if name == "n" else 0.0, n) for name in MODELS[model].fields]
    return {"bias_ih": np.concatenate(rows), "bias_hh": np.concatenate(zeros)}


def of_cell(cell: Any, model: str, task: Task, n: int, seed: int) -> dict[str, np.ndarray]:
    """Draw the couplings that a cell of gatefield has, with its biases; the rest is the default.

    Parameters
    ----------
    cell
        gf.ElmanRNN, gf.GRU, gf.LSTM or gf.GatedRNN with scalar gains, biases scalar or (N,).
    model, task, n, seed
        As of `default`.
    """
    fields = MODELS[model].fields
    weights = default(task, model, n, seed)
    if model == "gated":
        gains = {"h": cell.g_h, "z": cell.alpha_z, "r": cell.alpha_r}
        given = {name: getattr(cell, f"beta_{name}") for name in fields}
    elif model == "vanilla":
        gains, given = {"h": cell.gain}, {"h": cell.bias}
    else:
        gains = cell.gains()
        given = {name: getattr(cell, f"bias_{name}") for name in fields}
        given |= {"hn": cell.bias_hn} if model == "gru" else {}
    rng = np.random.default_rng([seed, 3])
    blocks = [float(gains[name]) * rng.normal(size=(n, n)) / np.sqrt(n) for name in fields]
    own = {name: np.asarray(value, dtype=float) for name, value in given.items()}
    return weights | biases(model, n, own) | {"weight_hh": np.concatenate(blocks)}


def critical(task: Task, model: str, n: int, seed: int) -> dict[str, np.ndarray]:
    """Put the silent state at the edge of stability; no biases."""
    cell = critical_cell(MODELS[model].kind, **_gates(model))
    return of_cell(cell, model, task, n, seed)


def marginal(task: Task, model: str, n: int, seed: int) -> dict[str, np.ndarray]:
    """Put the silent state at the edge, with log-normal gate times: 2 steps to the whole sequence.

    Of the gated RNN from two time constants: 2 / DT steps. These are the 10 and 90 per cent
    quantiles, so that few units keep as long as most do by `chrono`.
    """
    return _spread(task, model, n, seed, "log-normal")


def even(task: Task, model: str, n: int, seed: int) -> dict[str, np.ndarray]:
    """Do as `marginal`, with uniform gate times: those of `chrono`, at the edge of stability."""
    return _spread(task, model, n, seed, "uniform")


def _spread(task: Task, model: str, n: int, seed: int, times: str) -> dict[str, np.ndarray]:
    cell = marginal_cell(
        MODELS[model].kind,
        units=n,
        horizon=task.steps * (DT if model == "gated" else 1.0),
        times=times,
        seed=seed,
        **_gates(model),
    )
    return of_cell(cell, model, task, n, seed)


def _gates(model: str) -> dict[str, Any]:
    """Return gains of the gates: PyTorch's, and one in the gated RNN."""
    names = {"gru": "rz", "lstm": "ifo"}.get(model, "")
    return {f"gain_{name}": 3**-0.5 for name in names} | (
        {"alpha_z": 1.0, "alpha_r": 1.0} if model == "gated" else {}
    )


INITIALISATIONS: dict[str, Callable[[Task, str, int, int], dict[str, np.ndarray]]] = {
    "default": default,
    "orthogonal": orthogonal,
    "chrono": chrono,
    "critical": critical,
    "marginal": marginal,
    "even": even,
}
"""By name, functions of task, model, units and seed."""


def exists(initialisation: str, model: str) -> bool:
    """Return whether an initialisation is defined for a model."""
    return not (model == "vanilla" and initialisation in ("chrono", "marginal", "even"))
