"""Networks: the statistics of couplings, their orientation, and how networks are built."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import gatefield as gf
from gatefield.core.errors import InvalidInputError
from gatefield.networks.couplings import send, send_back
from gatefield.networks.network import coupling_fields

CELLS = dict(gf.registered_cells())
N = 200
SIGMAS = 4.0  # seeds are fixed; a correct draw lies outside with probability 6e-5


@pytest.fixture(autouse=True)
def _double_precision():
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="module")
def drawn():
    """Draw a GRU, whose three fields have different gains, and return them scaled to variance 1."""
    gains = {"r": 0.5, "z": 1.5, "n": 2.5}
    cell = gf.GRU(gain_r=gains["r"], gain_z=gains["z"], gain_n=gains["n"])
    network = gf.Network.sample(cell, N, seed=7)
    return {name: network.coupling(name) * np.sqrt(N) / gain for name, gain in gains.items()}


@pytest.mark.parametrize("field", "rzn")
def test_couplings_are_normal_with_variance_gain_squared_over_n(drawn, field):
    """The sum of N^2 entries, their sum of squares (chi-square) and their whole distribution."""
    normal = drawn[field]
    assert abs(normal.sum() / N) < SIGMAS
    excess = (np.sum(normal**2) - N**2) / np.sqrt(2 * N**2)
    assert abs(excess) < SIGMAS
    assert stats.kstest(normal.ravel(), "norm").pvalue > 1e-4


def test_the_variance_is_over_n_and_not_its_neighbours():
    """Networks of three units, where 1/(N + 1) is a quarter below 1/N, and 1/(N - 1) half above.

    12 networks of 4 fields: 432 entries, whose mean square has standard error 7 per cent.
    """
    names, square = gf.LSTM().field_names, 0.0
    for seed in range(12):
        network = gf.Network.sample(gf.LSTM(), 3, seed=seed)
        square += 3 * sum(np.sum(network.coupling(name) ** 2) for name in names)
    assert abs(square - 432) / np.sqrt(2 * 432) < 3.0


@pytest.mark.parametrize("pair", ["rz", "rn", "zn"])
def test_couplings_of_different_fields_are_independent(drawn, pair):
    """A correlation coefficient over N^2 independent entries has standard error 1/N."""
    first, second = (drawn[name] for name in pair)
    for other in (second, second.T):
        assert abs(np.corrcoef(first.ravel(), other.ravel())[0, 1]) * N < SIGMAS


@pytest.mark.parametrize("field", "rzn")
def test_couplings_of_one_field_are_independent(drawn, field):
    """J_ij and J_ji (N (N-1)/2 pairs), and neighbours in a row and in a column."""
    matrix = drawn[field]
    upper = np.triu_indices(N, 1)
    pairs = {
        "transposed": (matrix[upper], matrix.T[upper]),
        "rows": (matrix[:-1].ravel(), matrix[1:].ravel()),
        "columns": (matrix[:, :-1].ravel(), matrix[:, 1:].ravel()),
    }
    for name, (a, b) in pairs.items():
        assert abs(np.corrcoef(a, b)[0, 1]) * np.sqrt(a.size) < SIGMAS, name


def test_per_unit_gains_scale_the_rows():
    """Unit i receives with its own gain: row i is gain_i times the row drawn for gain one."""
    gain = np.linspace(0.1, 3.0, 30)
    scaled = gf.Network.sample(gf.GRU(gain_n=gain), 30, seed=2)
    plain = gf.Network.sample(gf.GRU(), 30, seed=2)
    np.testing.assert_allclose(
        scaled.coupling("n"), gain[:, None] * plain.coupling("n"), rtol=1e-14
    )
    np.testing.assert_array_equal(scaled.coupling("z"), plain.coupling("z"))
    # Over all rows: sum_j J_ij^2 N / gain_i^2 is chi-square of N degrees, its sum of N^2.
    square = np.sum((scaled.coupling("n") / gain[:, None]) ** 2) * 30
    assert abs(square - 900) / np.sqrt(2 * 900) < SIGMAS
    np.testing.assert_allclose(scaled.gains()[2], np.sqrt(np.mean(gain**2)), rtol=1e-14)


def test_zero_gain_uncouples():
    network = gf.Network.sample(gf.GRU(gain_r=0.0), 10)
    assert np.all(network.coupling("r") == 0.0) and np.all(network.coupling("n") != 0.0)


@pytest.mark.parametrize("name", ["gated-rnn", "lstm"])
def test_same_seed_same_network(name):
    cell = CELLS[name]
    first, again = (gf.Network.sample(cell, 12, seed=5) for _ in range(2))
    other = gf.Network.sample(cell, 12, seed=6)
    for field in cell.field_names:
        np.testing.assert_array_equal(first.coupling(field), again.coupling(field))
        assert not np.any(first.coupling(field) == other.coupling(field))


def test_a_matrix_depends_on_the_seed_and_the_place_of_its_field_alone():
    """Hence the vanilla network and the gated one with its gates held open share J^h."""
    gated = gf.Network.sample(gf.GatedRNN(2.0), 12, seed=5)
    vanilla = gf.Network.sample(gf.VanillaRNN(3.0), 12, seed=5)
    np.testing.assert_array_equal(gated.coupling("h"), vanilla.coupling("h"))
    after, before = (gf.Network.sample(gf.GRU(reset=r), 12, seed=5) for r in ("after", "before"))
    for field in "rzn":
        np.testing.assert_array_equal(after.coupling(field), before.coupling(field))


def test_precision_is_that_asked_for():
    """Also outside the test's own x64 context, which the entry point must not need."""
    with jax.enable_x64(False):
        double = gf.Network.sample(gf.GatedRNN(), N, seed=1)
        single = gf.Network.sample(gf.GatedRNN(), N, seed=1, dtype="float32")
    assert double.dtype == np.float64 and double.coupling("h").dtype == np.float64
    assert single.dtype == np.float32 and single.coupling("h").dtype == np.float32
    normal = single.coupling("h").astype(np.float64) * np.sqrt(N)
    assert abs(np.sum(normal**2) - N**2) / np.sqrt(2 * N**2) < SIGMAS


# --- orientation


def fields_of(network, state, drive):
    return np.asarray(jax.jit(coupling_fields)(network, jnp.asarray(state), jnp.asarray(drive)))


def test_unit_i_receives_the_sum_over_j():
    """u_i = sum_j J_ij y_j, by the explicit double sum; J is not symmetric."""
    rng = np.random.default_rng(8)
    given = {name: rng.standard_normal((4, 4)) for name in "hzr"}
    network = gf.Network.of_couplings(gf.GatedRNN(1.3, alpha_r=0.8), given)
    h, z, r = state = rng.standard_normal((3, 4))
    phi = np.tanh(1.3 * h)
    sent = {"h": phi / (1 + np.exp(-0.8 * r)), "z": phi, "r": phi}
    fields = fields_of(network, state, np.zeros((3, 4)))
    for row, name in enumerate("hzr"):
        np.testing.assert_array_equal(network.coupling(name), given[name])
        for i in range(4):
            expected = sum(given[name][i, j] * sent[name][j] for j in range(4))
            assert fields[row, i] == pytest.approx(expected, abs=1e-14)


def test_a_single_coupling_reaches_its_row_alone():
    """J_02 = 5: unit 0 hears unit 2, nobody else moves from zero (one Euler step of length one)."""
    matrix = np.zeros((3, 3))
    matrix[0, 2] = 5.0
    network = gf.Network.of_couplings(gf.VanillaRNN(1.0), {"h": matrix})
    start = np.array([[0.0, 0.0, 0.4]])
    end = gf.simulate(network, 1.0, dt=1.0, method="euler", initial=start).final[0]
    np.testing.assert_allclose(end, [5.0 * np.tanh(0.4), 0.0, 0.0], rtol=1e-15, atol=0)


@pytest.mark.parametrize("name", CELLS)
def test_stacked_products_equal_one_product_for_each_field(name):
    """The fields of every cell by separate products J^a y^a, in the order of the fields."""
    cell = CELLS[name]
    network = gf.Network.sample(cell, 15, seed=4)
    rng = np.random.default_rng(9)
    state = rng.standard_normal((len(cell.state_names), 15))
    drive = rng.standard_normal((len(cell.drive_names), 15))
    known = dict.fromkeys(cell.field_names, np.zeros(15))
    for field in cell.field_names:
        sent = cell.outputs(
            dict(zip(cell.state_names, state, strict=True)),
            known,
            dict(zip(cell.drive_names, drive, strict=True)),
        )
        known = {**known, field: network.coupling(field) @ np.asarray(sent[field])}
    fields = fields_of(network, state, drive)
    for row, field in enumerate(cell.field_names):
        # Sums of 15 products of order one: rounding of 1e-15.
        np.testing.assert_allclose(fields[row], known[field], rtol=0, atol=1e-14)


def test_send_back_is_the_transpose_of_send():
    """w . (J y) = (J^T w) . y, and both are the plain matrix products."""
    rng = np.random.default_rng(10)
    first, second = rng.standard_normal((2, 6, 6))
    stacked = jnp.concatenate([first, second])
    y, w = rng.standard_normal(6), rng.standard_normal((2, 6))
    sent = send(stacked, jnp.asarray(y))
    np.testing.assert_allclose(sent, [first @ y, second @ y], rtol=0, atol=1e-14)
    back = send_back(stacked, jnp.asarray(w))
    np.testing.assert_allclose(back, first.T @ w[0] + second.T @ w[1], rtol=0, atol=1e-14)


# --- building


def test_of_couplings_takes_matrices_as_they_are():
    """Gains scale what is drawn, not what is given."""
    rng = np.random.default_rng(11)
    given = {name: rng.standard_normal((5, 5)) for name in "ifgo"}
    network = gf.Network.of_couplings(gf.LSTM(gain_g=3.0), given, dtype="float32")
    assert network.n == 5 and network.seed == -1
    for name, matrix in given.items():
        np.testing.assert_array_equal(network.coupling(name), matrix.astype(np.float32))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"r": np.eye(3), "z": np.eye(3)}, "Add n"),
        ({"r": np.eye(3), "z": np.eye(3), "n": np.eye(3), "q": np.eye(3)}, "'q'"),
        ({"r": np.eye(3), "z": np.eye(4), "n": np.eye(3)}, "(4, 4)"),
        ({"r": np.eye(3), "z": np.ones((3, 2)), "n": np.eye(3)}, "(3, 2)"),
        ({"r": np.eye(3), "z": np.ones(3), "n": np.eye(3)}, "(3,)"),
        ({"r": np.eye(3), "z": np.eye(3), "n": np.full((3, 3), np.nan)}, "couplings['n']"),
    ],
    ids=["missing", "unknown", "other-size", "not-square", "vector", "nan"],
)
def test_of_couplings_refuses(given, says):
    with pytest.raises(InvalidInputError, match="couplings") as error:
        gf.Network.of_couplings(gf.GRU(), given)
    assert says in str(error.value) and "expected" in str(error.value)


def test_with_cell_keeps_the_couplings():
    network = gf.Network.sample(gf.GatedRNN(2.0), 6, seed=3)
    other = network.with_cell(gf.GatedRNN(3.0, alpha_z=5.0, beta_h=np.arange(6.0)))
    for field in "hzr":
        np.testing.assert_array_equal(other.coupling(field), network.coupling(field))
    assert isinstance(other.cell, gf.GatedRNN) and float(other.cell.g_h) == 3.0
    assert isinstance(network.cell, gf.GatedRNN) and float(network.cell.g_h) == 2.0
    assert other.seed == network.seed == 3


@pytest.mark.parametrize(
    ("cell", "other"),
    [
        (gf.GatedRNN(2.0), gf.VanillaRNN(2.0)),
        (gf.GRU(), gf.GRU(reset="before")),
        (gf.GRU(), gf.GRU(gain_n=2.0)),
        # Rows carry the gains: the same largest gain is not enough.
        (gf.GRU(gain_n=[1.0, 2.0, 3.0]), gf.GRU(gain_n=[3.0, 2.0, 1.0])),
        (gf.GRU(gain_n=[1.0, 2.0, 3.0]), gf.GRU(gain_n=3.0)),
    ],
    ids=["other-cell", "other-wiring", "other-gain", "permuted-gains", "shared-gain"],
)
def test_with_cell_refuses_what_the_couplings_do_not_fit(cell, other):
    with pytest.raises(InvalidInputError, match="equal gains"):
        gf.Network.sample(cell, 3).with_cell(other)


def test_with_cell_refuses_parameters_of_another_size():
    network = gf.Network.sample(gf.GatedRNN(2.0), 6)
    with pytest.raises(InvalidInputError, match=r"cell\.beta_h\.shape = \(5,\)"):
        network.with_cell(gf.GatedRNN(2.0, beta_h=np.zeros(5)))


def test_repr_shows_the_cell_and_the_size():
    text = repr(gf.Network.sample(gf.VanillaRNN(1.5), 9, seed=4))
    assert text == "Network(VanillaRNN(g=1.5, beta=0), n=9, seed=4, dtype=float64)"
