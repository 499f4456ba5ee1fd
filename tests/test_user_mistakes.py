"""Cells and inputs that users get wrong are refused where they are given, in the user's terms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gatefield as gf
from gatefield.cells import wiring
from gatefield.core.errors import InvalidInputError


class Pair(gf.AbstractMap):
    """Two fields, the second of which reads the first; behaviour is given by functions."""

    gain: Any = 1.0
    send: Any = None
    state_names: ClassVar[tuple[str, ...]] = ("h",)
    field_names: ClassVar[tuple[str, ...]] = ("a", "b")
    drive_names: ClassVar[tuple[str, ...]] = ()

    def gains(self):
        return {"a": self.gain, "b": 1.0}

    def outputs(self, state, fields, drive):
        return {"a": state["h"], "b": fields["a"] * state["h"]}

    def rule(self, state, fields, drive):
        return {"h": jnp.tanh(fields["b"])}


class Jitted(Pair):
    """The same with its outputs compiled, which must not hide what they read."""

    @jax.jit
    def outputs(self, state, fields, drive):
        return {"a": state["h"], "b": fields["a"] * state["h"]}


class Vector(Pair):
    """Sends arrays, as if it were many units."""

    def outputs(self, state, fields, drive):
        return {"a": jnp.zeros(2), "b": state["h"]}


class Listed(Pair):
    """Returns its state without names."""

    def rule(self, state, fields, drive):
        return [fields["a"]]


def test_jitted_outputs_are_read_like_plain_ones():
    assert wiring(Jitted()).stages == wiring(Pair()).stages == ((0,), (1,))


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (Vector, "scalars in, scalars out"),
        (Listed, "a dictionary"),
        (lambda: Pair(gain=np.nan), "finite"),
        (lambda: Pair(gain="big"), "a number or an array"),
        (lambda: Pair(send=jnp.tanh), "static=True"),
        (lambda: Pair, "Build the cell"),
    ],
    ids=["vector", "list", "nan-gain", "text-gain", "function-field", "class"],
)
def test_cells_that_cannot_work_are_refused(make: Callable[[], Any], told: str):
    for use in (lambda c: gf.register("mistake", c), lambda c: gf.Network.sample(c, 4)):
        with pytest.raises(InvalidInputError) as caught:
            use(make())
        assert told in str(caught.value)
    assert "mistake" not in gf.registered_cells()


@pytest.mark.parametrize(
    "function",
    [lambda t: np.sin(t), lambda t: 1.0 if t > 0.5 else 0.0, lambda t: None],
    ids=["numpy", "if", "nothing"],
)
def test_functions_of_time_must_be_traceable(function):
    network = gf.Network.sample(gf.VanillaRNN(), 4)
    with pytest.raises(InvalidInputError, match="JAX can trace"):
        gf.simulate(network, 1.0, inputs={"h": function})


def test_solve_static_says_what_it_wants():
    anything: Any = gf.solve_static
    with pytest.raises(InvalidInputError, match="AbstractFlow or AbstractMap"):
        anything("gru")
    with pytest.raises(InvalidInputError, match="a mapping"):
        anything(gf.VanillaRNN(), input_variance=0.1)
    with pytest.raises(InvalidInputError, match="one number for each name"):
        anything(gf.VanillaRNN(), input_variance={"h": [0.1, 0.2]})
