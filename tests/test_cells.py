"""Cells against the published equations: steps of maps, rates of flows, signs of gates."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gatefield as gf

N = 7
ROUNDING = 1e-14  # a few dozen operations on numbers of order one


@pytest.fixture(autouse=True)
def _double_precision():
    with jax.enable_x64(True):
        yield


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def one_step(cell, couplings, state, drives):
    """Advance a map by one step through the public way."""
    network = gf.Network.of_couplings(cell, couplings)
    return gf.simulate(network, 1, initial=state, inputs=drives).final


# --- the maps, transcribed from the documentation of torch.nn.GRU and torch.nn.LSTM


def torch_weights(rng, gates):
    """Draw every array of a torch cell with 3 inputs: W_i, b_i, W_h, b_h for each gate."""
    return {
        gate: {
            "wi": rng.standard_normal((N, 3)),
            "bi": rng.standard_normal(N),
            "wh": rng.standard_normal((N, N)),
            "bh": rng.standard_normal(N),
        }
        for gate in gates
    }


def test_gru_is_that_of_pytorch():
    rng = np.random.default_rng(1)
    w = torch_weights(rng, "rzn")
    x, h = rng.standard_normal(3), rng.standard_normal(N)
    r = sigmoid(w["r"]["wi"] @ x + w["r"]["bi"] + w["r"]["wh"] @ h + w["r"]["bh"])
    z = sigmoid(w["z"]["wi"] @ x + w["z"]["bi"] + w["z"]["wh"] @ h + w["z"]["bh"])
    n = np.tanh(w["n"]["wi"] @ x + w["n"]["bi"] + r * (w["n"]["wh"] @ h + w["n"]["bh"]))
    expected = (1 - z) * n + z * h

    cell = gf.GRU(
        bias_r=w["r"]["bi"] + w["r"]["bh"],
        bias_z=w["z"]["bi"] + w["z"]["bh"],
        bias_n=w["n"]["bi"],
        bias_hn=w["n"]["bh"],
    )
    drives = {gate: w[gate]["wi"] @ x for gate in "rzn"}
    got = one_step(cell, {gate: w[gate]["wh"] for gate in "rzn"}, h[None], drives)
    np.testing.assert_allclose(got[0], expected, rtol=0, atol=ROUNDING)


def test_gru_with_reset_before_is_that_of_cho():
    """Cho et al., arXiv:1406.1078, Eqs. 5-8: the candidate sees U (r h)."""
    rng = np.random.default_rng(2)
    w = torch_weights(rng, "rzn")
    x, h = rng.standard_normal(3), rng.standard_normal(N)
    r = sigmoid(w["r"]["wi"] @ x + w["r"]["wh"] @ h + w["r"]["bi"])
    z = sigmoid(w["z"]["wi"] @ x + w["z"]["wh"] @ h + w["z"]["bi"])
    n = np.tanh(w["n"]["wi"] @ x + w["n"]["wh"] @ (r * h) + w["n"]["bi"] + w["n"]["bh"])
    expected = z * h + (1 - z) * n

    biases = {f"bias_{gate}": w[gate]["bi"] for gate in "rzn"}
    cell = gf.GRU(**biases, bias_hn=w["n"]["bh"], reset="before")
    drives = {gate: w[gate]["wi"] @ x for gate in "rzn"}
    got = one_step(cell, {gate: w[gate]["wh"] for gate in "rzn"}, h[None], drives)
    np.testing.assert_allclose(got[0], expected, rtol=0, atol=ROUNDING)


def test_lstm_is_that_of_pytorch():
    rng = np.random.default_rng(3)
    w = torch_weights(rng, "ifgo")
    x, h, c = rng.standard_normal(3), rng.standard_normal(N), rng.standard_normal(N)
    u = {a: w[a]["wi"] @ x + w[a]["bi"] + w[a]["wh"] @ h + w[a]["bh"] for a in "ifgo"}
    memory = sigmoid(u["f"]) * c + sigmoid(u["i"]) * np.tanh(u["g"])
    expected = np.stack([sigmoid(u["o"]) * np.tanh(memory), memory])

    cell = gf.LSTM(**{f"bias_{a}": w[a]["bi"] + w[a]["bh"] for a in "ifgo"})
    drives = {a: w[a]["wi"] @ x for a in "ifgo"}
    got = one_step(cell, {a: w[a]["wh"] for a in "ifgo"}, np.stack([h, c]), drives)
    np.testing.assert_allclose(got, expected, rtol=0, atol=ROUNDING)


# --- the flows, transcribed from THEORY section 1


@pytest.mark.parametrize("input_gating", ["none", "update"])
def test_gated_rnn_is_equations_1_and_2(input_gating):
    rng = np.random.default_rng(4)
    h, z, r = rng.standard_normal((3, N))
    u = dict(zip("hzr", rng.standard_normal((3, N)), strict=True))
    i = dict(zip("hzr", rng.standard_normal((3, N)), strict=True))
    s_z = sigmoid(1.7 * z + 0.3)
    inside, outside = (i["h"], 0.0) if input_gating == "update" else (0.0, i["h"])
    expected = {
        "h": s_z * (-h + u["h"] + inside) + outside,
        "z": (-z + u["z"] + i["z"]) / 2.5,
        "r": (-r + u["r"] + i["r"]) / 0.4,
    }
    phi = np.tanh(2.2 * h - 0.6)
    sent = {"h": phi * sigmoid(0.9 * r - 0.2), "z": phi, "r": phi}

    cell = gf.GatedRNN(
        2.2,
        alpha_z=1.7,
        alpha_r=0.9,
        beta_h=-0.6,
        beta_z=0.3,
        beta_r=-0.2,
        tau_z=2.5,
        tau_r=0.4,
        input_gating=input_gating,
    )
    state = {"h": h, "z": z, "r": r}
    changed, outputs = cell.rule(state, u, i), cell.outputs(state, u, i)
    for name in "hzr":
        np.testing.assert_allclose(changed[name], expected[name], rtol=0, atol=ROUNDING)
        np.testing.assert_allclose(outputs[name], sent[name], rtol=0, atol=ROUNDING)


def test_vanilla_rnn_is_the_classical_network():
    rng = np.random.default_rng(5)
    h, u, i = rng.standard_normal((3, N))
    cell = gf.VanillaRNN(1.8, beta=0.4)
    changed = cell.rule({"h": h}, {"h": u}, {"h": i})["h"]
    np.testing.assert_allclose(changed, -h + u + i, rtol=0, atol=ROUNDING)
    sent = cell.outputs({"h": h}, {"h": u}, {"h": i})["h"]
    np.testing.assert_allclose(sent, np.tanh(1.8 * h + 0.4), rtol=0, atol=ROUNDING)


# --- signs


def test_positive_bias_opens_the_gates_of_the_gated_rnn():
    """THEORY 1: beta > 0 opens; at beta = 40 a gate is 1 - 4e-18, at -40 it is 4e-18."""
    state = {"h": 0.7, "z": 0.3, "r": -0.2}
    fields, drive = {"h": 0.1, "z": 0.0, "r": 0.0}, {"h": 0.0, "z": 0.0, "r": 0.0}
    opened, shut = gf.GatedRNN(2.0, beta_z=40, beta_r=40), gf.GatedRNN(2.0, beta_z=-40, beta_r=-40)
    assert float(opened.rule(state, fields, drive)["h"]) == pytest.approx(0.1 - 0.7, abs=1e-15)
    assert float(shut.rule(state, fields, drive)["h"]) == pytest.approx(0.0, abs=1e-15)
    sent = np.tanh(2.0 * 0.7)
    assert float(opened.outputs(state, fields, drive)["h"]) == pytest.approx(sent, abs=1e-15)
    assert float(shut.outputs(state, fields, drive)["h"]) == pytest.approx(0.0, abs=1e-15)
    # The gates act on what reaches h alone: what drives the gates is not gated.
    assert float(shut.outputs(state, fields, drive)["z"]) == pytest.approx(sent, abs=1e-15)


@pytest.mark.parametrize("reset", ["after", "before"])
def test_the_update_gate_of_the_gru_keeps_h(reset):
    """PyTorch's z keeps the state, where the paper's s_z is the rate of change."""
    state, fields = {"h": 0.8}, {"r": 0.2, "z": -0.3, "n": 0.5}
    drive = {"r": 0.0, "z": 0.0, "n": 0.0}
    kept = gf.GRU(bias_z=50.0, reset=reset).rule(state, fields, drive)["h"]
    assert float(kept) == pytest.approx(0.8, abs=1e-15)
    replaced = gf.GRU(bias_z=-50.0, bias_r=50.0, reset=reset).rule(state, fields, drive)["h"]
    assert float(replaced) == pytest.approx(np.tanh(0.5), abs=1e-15)


def test_the_reset_gate_shuts_off_what_comes_back():
    state, fields = {"h": 0.8}, {"r": 0.0, "z": 0.0, "n": 0.5}
    drive = {"r": 0.0, "z": 0.0, "n": 0.3}
    after = gf.GRU(bias_r=-50.0, bias_z=-50.0, bias_hn=2.0).rule(state, fields, drive)["h"]
    assert float(after) == pytest.approx(np.tanh(0.3), abs=1e-15)  # b_hn is reset, too
    before = gf.GRU(bias_r=-50.0, reset="before").outputs(state, fields, drive)
    assert float(before["n"]) == pytest.approx(0.0, abs=1e-15)
    assert float(before["z"]) == 0.8


def test_the_gates_of_the_lstm():
    """Forget gate open and input gate shut: the memory stays. Output gate shut: nothing is sent."""
    state, drive = {"h": 0.1, "c": 1.3}, dict.fromkeys("ifgo", 0.0)
    fields = {"i": 0.2, "f": -0.1, "g": 0.5, "o": 0.3}
    kept = gf.LSTM(bias_f=50.0, bias_i=-50.0).rule(state, fields, drive)
    assert float(kept["c"]) == pytest.approx(1.3, abs=1e-15)
    assert float(kept["h"]) == pytest.approx(sigmoid(0.3) * np.tanh(1.3), abs=1e-15)
    replaced = gf.LSTM(bias_f=-50.0, bias_i=50.0, bias_o=-50.0).rule(state, fields, drive)
    assert float(replaced["c"]) == pytest.approx(np.tanh(0.5), abs=1e-15)
    assert float(replaced["h"]) == pytest.approx(0.0, abs=1e-15)


@settings(deadline=None, max_examples=50, derandomize=True)
@given(st.lists(st.floats(-30, 30), min_size=7, max_size=7))
def test_maps_stay_bounded(numbers):
    """A GRU's next h lies between h and a number in (-1, 1); an LSTM sends less than one."""
    h, r, z, n, f, o, c = numbers
    drive = dict.fromkeys("rznifgo", 0.0)
    after = float(gf.GRU().rule({"h": h}, {"r": r, "z": z, "n": n}, drive)["h"])
    assert abs(after) <= max(abs(h), 1.0) * (1 + 1e-15)
    sent = gf.LSTM().rule({"h": h, "c": c}, {"i": r, "f": f, "g": n, "o": o}, drive)
    assert abs(float(sent["h"])) <= 1.0
    assert abs(float(sent["c"])) <= abs(c) + 1.0
