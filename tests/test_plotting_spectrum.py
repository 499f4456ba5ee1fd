"""Pictures of spectra show the numbers they are given; states survive their file."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from matplotlib.patches import Circle

import gatefield as gf
from gatefield.analysis import network_spectrum
from gatefield.core.errors import InvalidInputError
from gatefield.figures.spectra import without_motion
from gatefield.io import load_state, load_states, save_state
from gatefield.numerics.threads import in_turn
from gatefield.plotting import plot_spectral_density, plot_spectrum, spectrum_figure


@pytest.fixture(scope="module")
def vanilla():
    network = gf.Network.sample(gf.VanillaRNN(1.5), 40, seed=0)
    zero = np.zeros((1, 40))
    units = gf.linearise(network, zero)
    eigenvalues = network_spectrum(network, zero).eigenvalues
    return gf.spectral_boundary(units), gf.spectral_density_grid(units, (8, 8)), eigenvalues


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def test_eigenvalues_lie_under_the_boundary(vanilla):
    boundary, _, eigenvalues = vanilla
    _, ax = plt.subplots()
    assert plot_spectrum(boundary, eigenvalues, ax=ax) is ax
    lines = {str(line.get_label()): line for line in ax.get_lines()}
    drawn = np.asarray(lines["eigenvalues"].get_xydata())
    assert np.array_equal(drawn, np.stack([eigenvalues.real, eigenvalues.imag], axis=1))
    # The zero state of the vanilla network: a disc of radius g around -1.
    curve = np.asarray(lines["theory"].get_xydata())
    curve = curve[np.isfinite(curve[:, 0])]
    assert np.allclose(np.hypot(curve[:, 0] + 1, curve[:, 1]), 1.5, atol=1e-3)
    assert np.array_equal(curve[0], curve[-1])  # closed
    assert lines["theory"].get_zorder() > lines["eigenvalues"].get_zorder()
    assert ax.get_aspect() == 1.0


def test_maps_have_the_unit_circle_and_flows_a_line():
    cell = gf.GRU(gain_n=2.0)
    network = gf.Network.sample(cell, 30, seed=0)
    ax = plot_spectrum(gf.spectral_boundary(gf.linearise(network, np.zeros((1, 30)))))
    circles = [patch for patch in ax.patches if isinstance(patch, Circle)]
    assert [circle.radius for circle in circles] == [1.0]


def test_density_shows_its_grid_and_scale(vanilla):
    boundary, grid, eigenvalues = vanilla
    ax = plot_spectral_density(grid, boundary, colorbar=False)
    mesh = ax.collections[0]
    shown = np.asarray(mesh.get_array()).reshape(grid.density.shape)
    inside = grid.density > 0
    assert np.allclose(shown[inside], np.maximum(grid.density[inside], mesh.norm.vmin or 0))
    assert mesh.get_clip_path() is not None
    assert len(spectrum_figure(boundary, eigenvalues, grid).axes) == 3  # two panels, a scale
    assert len(spectrum_figure(boundary, eigenvalues).axes) == 1


def test_atoms_are_marked_with_their_mass():
    # No biases, zero state: z and r of every unit stay at -1, two thirds of all eigenvalues.
    network = gf.Network.sample(gf.GatedRNN(1.0, tau_z=0.5, tau_r=0.5), 20, seed=0)
    units = gf.linearise(network, np.zeros((3, 20)))
    ax = plot_spectral_density(gf.spectral_density_grid(units, (8, 8)))
    legend = ax.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["66.7% of eigenvalues at -2"]
    values = network_spectrum(network, np.zeros((3, 20))).eigenvalues
    disc = values[np.abs(values + 2) > 1e-3]
    outside = np.sum(np.abs(disc + 0.5) > 0.25) / values.size
    found = np.mean(~gf.spectral_boundary(units).contains(values))
    assert found == pytest.approx(outside)


def test_motion_is_what_fixed_points_lack():
    network = gf.Network.sample(gf.GatedRNN(3.0, alpha_z=4.0), 20, seed=0)
    state = np.random.default_rng(2).normal(size=(3, 20))
    h, z, _ = state
    units = gf.linearise(network, state)
    gate = 1 / (1 + np.exp(-4.0 * z))
    # D_t = (-h + u_h) s_z'(z), with the output gate half open.
    motion = (network.coupling("h") @ np.tanh(3.0 * h) / 2 - h) * 4.0 * gate * (1 - gate)
    still = without_motion(units).A
    assert np.allclose(still[:, 0, 1], 0) and np.all(motion != 0)
    assert np.allclose((units.A - still)[:, 0, 1], motion)
    assert np.count_nonzero(units.A - still) == 20


def test_plots_refuse_what_they_cannot_draw(vanilla):
    with pytest.raises(InvalidInputError, match="SpectralBoundary"):
        plot_spectrum(vanilla[1])
    with pytest.raises(InvalidInputError, match="SpectralDensityGrid"):
        plot_spectral_density(vanilla[0])
    with pytest.raises(InvalidInputError, match="finite"):
        plot_spectrum(vanilla[0], [np.nan])


@pytest.mark.parametrize("name", sorted(gf.registered_cells()))
@pytest.mark.parametrize("given", [False, True], ids=["drawn", "given"])
def test_states_survive_their_file(name, given, tmp_path):
    network = gf.Network.sample(gf.registered_cells()[name], 6, seed=3, dtype="float32")
    if given:
        matrices = {f: network.coupling(f) for f in network.cell.field_names}
        network = gf.Network.of_couplings(network.cell, matrices)
    state = np.random.default_rng(1).normal(size=(len(network.cell.state_names), 6))
    kept, same = load_state(save_state(tmp_path / "s.nc", network, state))
    assert repr(kept.cell) == repr(network.cell) and kept.seed == network.seed
    assert kept.dtype == network.dtype and np.array_equal(same, state.astype(network.dtype))
    for field in network.cell.field_names:
        assert np.array_equal(kept.coupling(field), network.coupling(field))
    values = vars(network.cell)
    assert all(np.array_equal(value, vars(kept.cell)[key]) for key, value in values.items())


def test_parameters_per_unit_survive(tmp_path):
    bias = np.linspace(-1, 1, 5)
    network = gf.Network.sample(gf.VanillaRNN(1.0, beta=bias), 5, seed=0)
    kept, _ = load_state(save_state(tmp_path / "s.nc", network, np.ones((1, 5))))
    assert isinstance(kept.cell, gf.VanillaRNN) and np.array_equal(kept.cell.beta, bias)


def test_files_that_are_no_states_are_refused(tmp_path):
    with pytest.raises(InvalidInputError, match="a file"):
        load_state(tmp_path / "none.nc")
    xr.Dataset({"a": 1}).to_netcdf(tmp_path / "other.nc", engine="h5netcdf")
    with pytest.raises(InvalidInputError, match="network's state"):
        load_states(tmp_path / "other.nc")
    network = gf.Network.sample(gf.VanillaRNN(1.0), 5, seed=0)
    path = save_state(tmp_path / "s.nc", network, np.ones((1, 5)))
    with pytest.raises(InvalidInputError, match="number"):
        load_state(path, 1)
    with pytest.raises(InvalidInputError, match="shape"):
        save_state(tmp_path / "t.nc", network, np.ones((2, 5)))
    assert not (tmp_path / "t.nc").exists()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda d: d.assign_attrs(cell="Transformer"), "registered"),
        (lambda d: d.assign_attrs(seed="7"), "couplings that it drew"),
        (lambda d: d.drop_vars("state"), "complete state"),
        (lambda d: d.drop_vars("parameter_g").assign(parameter_q=1.0), "parameters of VanillaRNN"),
        (lambda d: d.assign(state=d["state"] * np.nan), "finite"),
    ],
    ids=["cell", "seed", "state", "parameter", "values"],
)
def test_damaged_states_are_refused(change, told, tmp_path):
    network = gf.Network.sample(gf.VanillaRNN(1.0), 5, seed=0)
    path = save_state(tmp_path / "s.nc", network, np.ones((1, 5)))
    with xr.open_dataset(path, group="states/0") as opened:
        damaged = change(opened.load())
    damaged.to_netcdf(tmp_path / "d.nc", group="states/0", engine="h5netcdf")
    with pytest.raises(InvalidInputError, match=told):
        load_state(tmp_path / "d.nc")


@pytest.mark.parametrize("threads", ["1", "2"])
def test_jobs_keep_their_order(threads, monkeypatch):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", threads)
    told: list[int] = []
    squares = in_turn(lambda job: job**2, list(range(7)), size=10, report=told.append)
    assert squares == [0, 1, 4, 9, 16, 25, 36] and told == [1, 2, 3, 4, 5, 6, 7]

    def fails(job):
        raise ValueError(job)

    with pytest.raises(ValueError, match="0"):
        in_turn(fails, [0, 1], size=10)
