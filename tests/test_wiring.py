"""Wiring: which fields share a product, which wait for others, and what is refused."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from wired_cell import GOOD, Wired

import gatefield as gf
from gatefield.cells import wiring
from gatefield.core.errors import InvalidInputError


@pytest.mark.parametrize(
    ("cell", "groups", "stages"),
    [
        (gf.GatedRNN(), ((0,), (1, 2)), ((0, 1),)),
        (gf.VanillaRNN(), ((0,),), ((0,),)),
        (gf.GRU(), ((0, 1, 2),), ((0,),)),
        (gf.GRU(reset="before"), ((0, 1), (2,)), ((0,), (1,))),
        (gf.LSTM(), ((0, 1, 2, 3),), ((0,),)),
    ],
    ids=["gated", "vanilla", "gru", "gru-before", "lstm"],
)
def test_wiring(cell, groups, stages):
    """Fields that read one output share one product; what reads a field is sent after it."""
    wires = wiring(cell)
    assert wires.groups == groups
    assert wires.stages == stages


def test_wiring_does_not_depend_on_per_unit_parameters():
    shared, own = gf.GatedRNN(2.0), gf.GatedRNN(np.ones(5), alpha_r=np.ones(5), beta_h=np.ones(5))
    assert wiring(own) == wiring(shared)


def test_a_chain_of_outputs_has_a_stage_for_each_link():
    chain = Wired(lambda x, u: {"a": x, "b": x * u["a"], "c": jnp.tanh(u["b"])})
    assert wiring(chain).stages == ((0,), (1,), (2,))

    # b and c share an output that reads a: one product, one stage later.
    def shared(x, u):
        gated = x * jax.nn.sigmoid(u["a"])
        return {"a": x, "b": gated, "c": gated}

    assert wiring(Wired(shared)) == (((0,), (1, 2)), ((0,), (1,)))


@pytest.mark.parametrize(
    ("sends", "reader", "read"),
    [
        (lambda x, u: {"a": x * u["c"], "b": x, "c": x}, "a", "c"),
        (lambda x, u: {"a": x, "b": x * u["b"], "c": x}, "b", "b"),
        (lambda x, u: {"a": x, "b": jnp.sin(jnp.exp(u["c"])) + u["a"], "c": x}, "b", "c"),
    ],
    ids=["later", "itself", "later-through-functions"],
)
def test_an_output_that_reads_a_later_field_or_itself_is_refused(sends, reader, read):
    with pytest.raises(InvalidInputError) as error:
        wiring(Wired(sends))
    message = str(error.value)
    assert f"output of field '{reader}' reads field '{read}'" in message
    assert "Wired" in message and "earlier" in message and "('a', 'b', 'c')" in message


WRONG_NAMES = {
    "outputs-missing": (Wired(lambda x, u: {"a": x, "b": x}), "outputs", "Add c"),
    "outputs-unknown": (Wired(lambda x, u: {**GOOD(x, u), "d": x}), "outputs", "'d'"),
    "rule-missing": (Wired(GOOD, lambda s, u: {}), "rule", "Add x"),
    "rule-unknown": (Wired(GOOD, lambda s, u: {"x": s["x"], "y": s["x"]}), "rule", "'y'"),
    "gains-missing": (
        Wired(GOOD, scales=lambda: {"a": 1.0, "c": 1.0}),
        "gains",
        "Add b",
    ),
    "gains-unknown": (
        Wired(GOOD, scales=lambda: {"a": 1.0, "b": 1.0, "c": 1.0, "e": 1.0}),
        "gains",
        "'e'",
    ),
}


@pytest.mark.parametrize("case", WRONG_NAMES)
def test_missing_and_unknown_names_are_refused(case):
    cell, method, names = WRONG_NAMES[case]
    with pytest.raises(InvalidInputError) as error:
        wiring(cell)
    assert f"Wired.{method}" in str(error.value)
    assert names in str(error.value)
