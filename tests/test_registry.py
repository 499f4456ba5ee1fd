"""The registry of cells, and parameters that each unit has for itself."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from wired_cell import GOOD, Wired

import gatefield as gf
from gatefield.cells import registry
from gatefield.cells.base import over_units, stacked_outputs, stacked_rule
from gatefield.core.errors import InvalidInputError

N = 7
ROUNDING = 1e-14  # a few dozen operations on numbers of order one


@pytest.fixture(autouse=True)
def _double_precision():
    with jax.enable_x64(True):
        yield


# --- per-unit parameters


def per_unit(rng, kind, names, **options):
    """Return a cell with every parameter an array, and the cells of the single units."""
    values = {name: rng.uniform(0.5, 2.0, N) for name in names}
    units = [kind(**{name: v[i] for name, v in values.items()}, **options) for i in range(N)]
    return kind(**values, **options), units


GATED = ("g_h", "alpha_z", "alpha_r", "beta_h", "beta_z", "beta_r", "tau_z", "tau_r")
GRU = ("gain_r", "gain_z", "gain_n", "bias_r", "bias_z", "bias_n", "bias_hn")
LSTM = tuple(f"{kind}_{gate}" for kind in ("gain", "bias") for gate in "ifgo")


@pytest.mark.parametrize(
    ("kind", "names", "options"),
    [
        (gf.GatedRNN, GATED, {"input_gating": "update"}),
        (gf.VanillaRNN, ("g", "beta"), {}),
        (gf.GRU, GRU, {}),
        (gf.GRU, GRU, {"reset": "before"}),
        (gf.LSTM, LSTM, {}),
        (gf.ElmanRNN, ("gain", "bias"), {"activation": "relu"}),
    ],
    ids=["gated", "vanilla", "gru", "gru-before", "lstm", "elman"],
)
def test_per_unit_parameters_equal_a_loop_over_units(kind, names, options):
    rng = np.random.default_rng(6)
    cell, units = per_unit(rng, kind, names, **options)
    arrays = [
        rng.standard_normal((len(group), N))
        for group in (cell.state_names, cell.field_names, cell.drive_names)
    ]
    values = [jnp.asarray(array) for array in arrays]
    rule = np.asarray(over_units(stacked_rule, cell, *values))
    sent = np.asarray(over_units(stacked_outputs, cell, *values))
    for i, unit in enumerate(units):
        own = [
            dict(zip(group, column[:, i], strict=True))
            for group, column in zip(
                (cell.state_names, cell.field_names, cell.drive_names), arrays, strict=True
            )
        ]
        changed, outputs = unit.rule(*own), unit.outputs(*own)
        for row, name in enumerate(cell.state_names):
            assert rule[row, i] == pytest.approx(float(changed[name]), abs=ROUNDING)
        for row, name in enumerate(cell.field_names):
            assert sent[row, i] == pytest.approx(float(outputs[name]), abs=ROUNDING)


# --- registry


def test_the_registry_holds_the_cells_of_the_package():
    kinds = {name: type(cell) for name, cell in gf.registered_cells().items()}
    own = {
        "gated-rnn": gf.GatedRNN,
        "vanilla-rnn": gf.VanillaRNN,
        "gru": gf.GRU,
        "gru-reset-before": gf.GRU,
        "lstm": gf.LSTM,
        "elman-rnn": gf.ElmanRNN,
    }
    assert kinds.items() >= own.items()


def test_a_new_cell_joins_by_one_call(monkeypatch):
    monkeypatch.setattr(registry, "_EXAMPLES", {})
    mine = Wired(GOOD)
    gf.register("mine", mine)
    assert gf.registered_cells()["mine"] is mine
    assert "gated-rnn" in gf.registered_cells()


def test_the_registry_refuses(monkeypatch):
    monkeypatch.setattr(registry, "_EXAMPLES", {})
    with pytest.raises(InvalidInputError, match="name = 'gru': expected a name that is not taken"):
        gf.register("gru", gf.GRU())
    wrong: Any = gf.GRU
    with pytest.raises(InvalidInputError, match="an instance of AbstractFlow or AbstractMap"):
        gf.register("mine", wrong)
    with pytest.raises(InvalidInputError, match="Wired.outputs"):
        gf.register("mine", Wired(lambda x, u: {"a": x}))
    assert "mine" not in gf.registered_cells()
    view: Any = gf.registered_cells()
    with pytest.raises(TypeError):
        view["mine"] = Wired(GOOD)


def test_repr_shows_parameters_and_not_arrays():
    text = repr(gf.GatedRNN(3.0, beta_h=np.zeros(4)))
    assert text.startswith("GatedRNN(g_h=3, ") and "beta_h=f64[4]" in text
    assert "input_gating='none'" in text
