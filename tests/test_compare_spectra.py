"""The harness for spectra: statistics on made-up numbers, networks, theories that are wrong."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from scipy import stats

import gatefield as gf
from gatefield.compare.spectra import SpectrumCheck, check_spectrum
from gatefield.core.errors import InvalidInputError
from gatefield.theory.rmt import unit_ensemble

N, NETWORKS, DURATION, STEP = 150, 6, 50.0, 0.1
CHAOTIC = gf.GatedRNN(3.0, alpha_z=15.0)


def made_up(counts, theory):
    """Return a check with these numbers of eigenvalues, (size, network, box)."""
    sizes, networks, boxes = counts.shape
    rows: Any = np.zeros((sizes, networks))
    return SpectrumCheck(
        sizes=np.full(sizes, 100),
        theory_edge=rows,
        network_edge=rows + np.arange(networks),
        theory_imaginary=rows,
        network_imaginary=rows,
        outside=rows,
        theory_count=np.broadcast_to(np.asarray(theory, float), counts.shape),
        network_count=counts,
        box_real=np.zeros((boxes, 2)),
        box_imag=np.zeros((boxes, 2)),
        couplings="own",
        is_map=False,
        cell=gf.VanillaRNN(1.0),
    )


def test_chi_square_by_hand():
    """Differences -1, 0, 1, 4 in one box: mean 1, variance 14/3; -2, 2, -2, 2 in the other."""
    counts = np.array([[[9, 18], [10, 22], [11, 18], [14, 22]]])
    check = made_up(counts, [10.0, 20.0])
    np.testing.assert_allclose(check.chi_square(), [(1 / (14 / 3 / 4) + 0) / 2], rtol=1e-12)
    edges = check.edges()[0]
    # 0, 1, 2, 3 against 0: 1.5 over its standard error.
    assert float(edges.deviation) == pytest.approx(1.5 / np.std([0, 1, 2, 3], ddof=1) * 2)


def test_p_values_of_a_true_theory_are_uniform():
    """400 sets of Gaussian counts about what theory says; a shift of 2 deviations shows."""
    rng = np.random.default_rng(1)
    counts = np.rint(1e6 + 1e4 * rng.standard_normal((400, 5, 6))).astype(int)
    p = made_up(counts, 1e6).p_value()
    assert p.shape == (400,) and stats.kstest(p, "uniform").pvalue > 0.01
    assert np.median(made_up(counts, 1e6 + 2e4).p_value()) < 0.02


@pytest.mark.parametrize("couplings", ["own", "fresh"])
def test_vanilla_network_at_zero(couplings):
    """Theory is the circular law at every size; the reports come in order."""
    seen, sizes = [], (80, 160) if couplings == "own" else (80,)
    check = check_spectrum(
        gf.VanillaRNN(1.5),
        sizes=sizes,
        networks=5,
        state="zero",
        couplings=couplings,
        report=lambda size, number, boundary: seen.append((size, number, boundary.leading_edge)),
    )
    assert [(s, k) for s, k, _ in seen] == [(s, k) for s in sizes for k in range(5)]
    np.testing.assert_allclose([edge for *_, edge in seen], 0.5, atol=1e-10)
    np.testing.assert_allclose(check.theory_edge, 0.5, atol=1e-10)
    np.testing.assert_allclose(check.theory_imaginary, 1.5, atol=1e-10)
    # Six boxes from -2.5 to 0.5 and 0.15 to 1.5; the disk minus the strip below them is covered.
    x = 0.1
    strip = (x * np.sqrt(1 - x**2) + np.arcsin(x)) / np.pi
    total = check.theory_count.sum(axis=2) / check.sizes[:, None]
    np.testing.assert_allclose(total, (1 - 2 * strip) / 2, atol=1e-4)
    assert check.network_count.shape == (len(sizes), 5, 6)
    assert np.all(check.p_value() > 1e-3) and np.all(check.outside < 0.08)
    expected = []
    for seed in range(5):
        network = gf.Network.sample(gf.VanillaRNN(1.5), 80, seed=seed)
        values = np.linalg.eigvals(gf.jacobian(network, np.zeros((1, 80))).as_matrix())
        expected.append([values.real.max(), values.imag.max(), np.mean(np.abs(values + 1) > 1.5)])
    found = [check.network_edge[0], check.network_imaginary[0], check.outside[0]]
    if couplings == "own":
        np.testing.assert_allclose(np.transpose(found), expected, atol=1e-9)
    else:
        assert np.abs(np.transpose(found) - expected).max() > 1e-3
    assert check.to_dataset().sizes["box"] == 6


def test_maps_are_measured_by_modulus(tmp_path):
    check = check_spectrum(gf.GRU(gain_n=3.0), sizes=(60,), networks=3, t_max=20, couplings="fresh")
    assert check.is_map and check.couplings == "fresh"
    values = (check.theory_edge, check.network_edge, check.theory_count, check.outside)
    assert all(np.all(np.isfinite(value)) for value in values)
    assert np.all(check.theory_edge > 0.9) and np.all(np.abs(check.network_edge - 1) < 0.3)
    check.to_dataset().to_netcdf(tmp_path / "check.nc")


# --- wrong theories


@pytest.fixture(scope="module")
def chaotic():
    """Return a check of chaotic networks, and the ensembles that its theory should come from."""
    check = check_spectrum(CHAOTIC, sizes=(N,), networks=NETWORKS, t_max=DURATION, dt=STEP)
    ensembles = []
    for seed in range(NETWORKS):
        network = gf.Network.sample(CHAOTIC, N, seed=seed)
        run = gf.simulate(network, DURATION, dt=STEP, seed=seed, save_every=500, progress=False)
        ensembles.append(unit_ensemble(gf.linearise(network, run.final)))
    return check, ensembles


def with_theory(check, ensembles, change):
    """Return the check with the theory of changed units."""
    edge, imaginary = [], []
    for ensemble in ensembles:
        names = [field.name for field in dataclasses.fields(ensemble)]
        blocks = {name: getattr(ensemble, name) for name in names}
        boundary = gf.spectral_boundary(gf.UnitEnsemble(**{**blocks, **change(ensemble)}))
        edge.append(float(boundary.leading_edge))
        imaginary.append(float(boundary.largest_imaginary))
    return dataclasses.replace(
        check, theory_edge=np.array([edge]), theory_imaginary=np.array([imaginary])
    )


@pytest.mark.slow
def test_chaotic_networks_agree(chaotic):
    check, ensembles = chaotic
    assert check.edges()[0].agrees and check.imaginary()[0].agrees and check.p_value()[0] > 1e-3
    assert np.all(check.outside < 0.03)
    same = with_theory(check, ensembles, lambda _: {})
    np.testing.assert_allclose(same.theory_edge, check.theory_edge, rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("factor", [0.8, 1.2])
def test_gains_off_by_a_fifth_are_seen(chaotic, factor):
    check, ensembles = chaotic
    wrong = with_theory(check, ensembles, lambda e: {"gains": factor * e.gains})
    assert not wrong.imaginary()[0].agrees
    shift = np.abs(wrong.theory_imaginary - check.theory_imaginary)
    assert np.all(shift > 0.08)


@pytest.mark.slow
def test_without_the_bracket_term_the_edge_is_lost(chaotic):
    """D_t = 0 would pinch the spectrum at zero; networks reach out a hundred times as far."""
    check, ensembles = chaotic

    def at_rest(ensemble):
        A = ensemble.A.copy()
        A[:, 0, 1] = 0.0
        return {"A": A}

    wrong = with_theory(check, ensembles, at_rest)
    assert np.all(np.abs(wrong.theory_edge) < 1e-3) and check.theory_edge.mean() > 0.03
    assert check.network_edge.mean() > 0.03
    assert abs(wrong.edges()[0].deviation) > 2 + abs(check.edges()[0].deviation)


# --- refusals


@pytest.mark.parametrize(
    "name, values",
    [
        ("sizes", [(), (1,), (10.5,), 100, "many"]),
        ("networks", [2, 0, 3.5]),
        ("state", ["rest", None]),
        ("couplings", ["old", 1]),
        ("t_max", [0.0, -1.0, np.nan]),
        ("dt", [0.0, -0.1, np.nan]),
        ("seed", [-1, 0.5]),
    ],
    ids=["sizes", "networks", "state", "couplings", "t_max", "dt", "seed"],
)
def test_bad_arguments_are_refused(name, values):
    for value in values:
        arguments: dict[str, Any] = {"sizes": (10,), "networks": 3, name: value}
        with pytest.raises(InvalidInputError, match=name):
            check_spectrum(gf.VanillaRNN(1.5), **arguments)


def test_cells_without_a_spectrum_in_the_plane_are_refused():
    with pytest.raises(InvalidInputError, match="uncoupled"):
        check_spectrum(gf.VanillaRNN(0.0), sizes=(10,), networks=3, state="zero")
    wrong: Any = "cell"
    with pytest.raises(InvalidInputError, match="cell"):
        check_spectrum(wrong, sizes=(10,), networks=3)
