"""The command ``gatefield spectrum``: theory's boundary and density beside networks."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
import xarray as xr
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from gatefield.cells import AbstractCell, GatedRNN, VanillaRNN, registered_cells
from gatefield.cli.config import SpectrumConfig
from gatefield.cli.written import write_results
from gatefield.compare import (
    FEWEST,
    Comparison,
    StateSpectrum,
    check_size,
    compare,
    reached_state,
    state_spectrum,
)
from gatefield.core.checks import check_names
from gatefield.core.errors import refuse
from gatefield.core.results import Status
from gatefield.figures.spectra import boundary_dataset
from gatefield.io import (
    NetworkState,
    check_writable,
    load_states,
    state_datasets,
)
from gatefield.networks import Network
from gatefield.numerics.threads import in_turn
from gatefield.plotting import spectrum_figure
from gatefield.theory.rmt import (
    SpectralBoundary,
    SpectralDensityGrid,
    spectral_boundary,
    spectral_density_grid,
)
from gatefield.theory.static import StaticMeanField, solve_static

_SHORT = {"gated": "gated-rnn", "vanilla": "vanilla-rnn"}
_ACTIVE = 3.0  # activation gain of a gated RNN for which none was given
_HINT = (
    "Theory is for infinitely many units and for couplings that know nothing of the state: "
    "--n asks for larger networks, --couplings fresh for such couplings."
)


def run(config: SpectrumConfig, console: Console | None = None) -> int:
    """Run the command and return its exit status.

    Parameters
    ----------
    config
        The options.
    console
        Where to print; by default standard output.

    Returns
    -------
    int
        0, or 1 with ``strict`` if theory and networks disagree.
    """
    console = Console() if console is None else console
    folder = check_writable(config.output)
    target = folder / f"{config.name}.nc"
    if config.state is not None and target.exists() and target.samefile(config.state):
        refuse("name", config.name, "another than the state's file", "Pass --name or --output.")
    if config.strict and config.state is None and config.networks < FEWEST:
        refuse("networks", config.networks, f"at least {FEWEST} for --strict", "Simulate more.")
    spectra = _spectra(config)
    first = spectra[0]
    grid = None
    if config.density:
        with Console(stderr=True).status("computing the density of eigenvalues"):
            shape = (config.density_size, config.density_size)
            grid = spectral_density_grid(first.units, shape, throw=False)
    _print_table(console, config, spectra)
    comparisons = _comparisons(spectra)
    disagreeing = _print_summary(console, spectra, comparisons)
    if grid is not None:
        _print_density(console, first, grid)
    branches = _static(console, first.network.cell)
    title = f"{_named(first.network.cell)}, N = {first.network.n}, seed {first.network.seed}"
    drawn = spectrum_figure(first.boundary, first.eigenvalues, grid, title=_folded(title))
    groups = _groups(spectra, comparisons, grid, branches)
    write_results(
        console,
        folder / config.name,
        drawn,
        config.formats,
        groups,
        config=config.model_dump_json(),
    )
    return int(config.strict and disagreeing)


def cell_of(config: SpectrumConfig) -> AbstractCell:
    """Return the cell that was asked for.

    Parameters
    ----------
    config
        Names a registered cell and its parameters; those not named have the class's defaults, or
        where it has none the registered example's. A gated RNN's activation gain is 3 by default.

    Returns
    -------
    AbstractCell

    Raises
    ------
    InvalidInputError
        For an unknown cell or parameter, or a value that the cell refuses.
    """
    examples = registered_cells()
    name = _SHORT.get(config.cell, config.cell)
    if name not in examples:
        refuse("cell", config.cell, f"one of {', '.join([*_SHORT, *examples])}", "Register others.")
    kind: Any = type(examples[name])
    fields = {field.name: field for field in dataclasses.fields(kind)}
    known = inspect.signature(kind).parameters
    values = {
        key: getattr(examples[name], key)
        for key, field in fields.items()
        if field.metadata.get("static") or known[key].default is inspect.Parameter.empty
    }
    given = config.assignments()
    check_names(f"parameters of {kind.__name__}", given, fields)
    for key, text in given.items():
        values[key] = text if fields[key].metadata.get("static") else _number(key, text)
    quiet = kind is GatedRNN and "g_h" not in given
    # The class's own gain leaves a network silent; an active one shows more.
    active = {"g_h": _ACTIVE} if quiet else {}
    return kind(**{**values, **active, **config.gated()})


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        refuse(name, text, "a number", f"For instance --set {name}=1.5.")


def _spectra(config: SpectrumConfig) -> list[StateSpectrum]:
    """Simulate or load the networks, and diagonalise their Jacobians."""
    pairs: Sequence[NetworkState | int]
    if config.state is not None:
        pairs = load_states(config.state)
        cell, n = pairs[0][0].cell, pairs[0][0].n
    else:
        cell, n = cell_of(config), config.n
        pairs = range(config.networks)
    size = check_size(cell, n)

    def one(pair: NetworkState | int) -> StateSpectrum:
        if isinstance(pair, int):
            seed = config.seed + pair
            network = Network.sample(cell, n, seed=seed)
            state = reached_state(network, config.t_max, dt=config.dt, seed=seed)
        else:
            network, state = pair
        return state_spectrum(network, state, couplings=config.couplings, near=config.near)

    doing = "diagonalising" if config.state is not None else "simulating and diagonalising"
    with Console(stderr=True).status(f"{doing} network 1 of {len(pairs)}") as status:

        def report(done: int) -> None:
            status.update(f"{doing}: {done} of {len(pairs)} networks done")

        return in_turn(one, pairs, size=size, report=report)


def _comparisons(spectra: Sequence[StateSpectrum]) -> list[Comparison]:
    """Compare means over networks; the scatter is that of each network around its own theory."""
    if len(spectra) < FEWEST:
        return []
    found = []
    edge = "largest modulus" if spectra[0].is_map else "leading edge"
    for name, theory, measured in (
        (edge, _theory_edges(spectra), [one.leading_edge for one in spectra]),
        ("largest Im", _theory_heights(spectra), [one.largest_imaginary for one in spectra]),
    ):
        differences = np.array(measured) - theory
        found.append(compare(theory.mean(), theory.mean() + differences, name=name))
    return found


def _theory_edges(spectra: Sequence[StateSpectrum]) -> np.ndarray:
    return np.array([float(one.boundary.leading_edge) for one in spectra])


def _theory_heights(spectra: Sequence[StateSpectrum]) -> np.ndarray:
    return np.array([float(one.boundary.largest_imaginary) for one in spectra])


def _print_table(console: Console, config: SpectrumConfig, spectra) -> None:
    first = spectra[0]
    middle = f"{first.slow_point:g}"
    came = f"state of {config.state}" if config.state is not None else f"t = {config.t_max:g}"
    if config.state is None and config.t_max == 0:
        came = "the zero state"
    edge = "largest modulus" if first.is_map else "leading edge"
    console.print(f"{first.network.cell!r}\n{first.network.n} units, {came}", highlight=False)
    table = Table(
        title=f"Jacobian with {config.couplings} couplings: theory | network",
        title_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    near = f"within {config.near:g} of {middle}"
    for column in ("seed", edge, "largest Im", near, "outside", "stable"):
        table.add_column(column, justify="right", no_wrap=True)
    for one in spectra:
        verdicts = [_yes(flag) for flag in (one.boundary.stable, one.stable)]
        seed = one.network.seed
        table.add_row(
            "given" if seed < 0 else str(seed),
            f"{one.boundary.leading_edge:.3g} | {one.leading_edge:.3g}",
            f"{one.boundary.largest_imaginary:.3g} | {one.largest_imaginary:.3g}",
            f"{one.theory_near:.1f} | {one.network_near}",
            f"{one.outside:.2%}",
            " | ".join(verdicts),
        )
    console.print(table)


def _print_summary(console: Console, spectra, comparisons: Sequence[Comparison]) -> bool:
    """Say what agrees and what does not, and return whether anything disagrees."""

    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True)

    for one in comparisons:
        say(str(one))
    if not comparisons:
        say(f"Fewer than {FEWEST} networks: no standard errors, nothing is called agreement.")
    counted, expected = (
        np.array([getattr(one, name) for one in spectra], float)
        for name in ("network_near", "theory_near")
    )
    first = spectra[0]
    say(
        f"within {first.near:g} of {first.slow_point:g}: theory {expected.mean():.1f}, networks "
        f"{counted.mean():.1f}, of {first.eigenvalues.size} eigenvalues"
    )
    if not first.is_map:
        heights = np.array([float(one.boundary.imaginary_intercept) for one in spectra])
        say(f"imaginary intercept of the boundary: {heights.mean():.6g} (mean)")
    outside = np.mean([one.outside for one in spectra])
    say(f"eigenvalues outside the boundary: {outside:.2%}")
    disagreeing = [one.name for one in comparisons if not one.agrees]
    if disagreeing:
        say(f"Theory and networks disagree on: {', '.join(disagreeing)}. {_HINT}")
    elif comparisons:
        say("Theory and networks agree.")
    return bool(disagreeing)


def _print_density(console: Console, first: StateSpectrum, grid: SpectralDensityGrid) -> None:
    console.print(f"density of the first network: total mass {float(grid.mass):.4f}")
    if grid.status is not Status.OK:
        console.print("Note: the density did not converge at some points, or its mass is off.")
    for x, y, mass in zip(grid.atom_real, grid.atom_imag, grid.atom_mass, strict=True):
        number = float(mass) * first.eigenvalues.size
        console.print(
            f"  {float(mass):.2%} of all eigenvalues ({number:.0f}) at {x:.4g} {y:+.4g}i",
            highlight=False,
        )


def _static(console: Console, cell: AbstractCell) -> list[tuple[StaticMeanField, SpectralBoundary]]:
    """Say where fixed points' spectra end, where theory has them in closed form."""
    if not isinstance(cell, (GatedRNN, VanillaRNN)):
        return []
    if any(np.shape(leaf) for leaf in jax.tree.leaves(cell)):
        console.print("Parameters differ from unit to unit: fixed points have no closed form.")
        return []
    found = [(each, spectral_boundary(each, throw=False)) for each in solve_static(cell)]
    table = Table(title="Fixed points, closed form (Eq. 5)", title_justify="left")
    for name in ("variance D_h", "leading edge", "imaginary intercept", "stable"):
        table.add_column(name, justify="right")
    for branch, boundary in found:
        table.add_row(
            f"{branch.variance['h']:.6g}",
            f"{boundary.leading_edge:.6g}",
            f"{boundary.imaginary_intercept:.6g}",
            _yes(bool(branch.stable)),
        )
    console.print(table)
    return found


def _groups(
    spectra: Sequence[StateSpectrum],
    comparisons: Sequence[Comparison],
    grid: SpectralDensityGrid | None,
    branches: Sequence[tuple[StaticMeanField, SpectralBoundary]],
) -> dict[str, xr.Dataset]:
    values = np.array([one.eigenvalues for one in spectra])
    eigenvalues = {"real": np.real(values), "imag": np.imag(values)}
    groups = {
        "eigenvalues": xr.Dataset({k: (("network", "mode"), v) for k, v in eigenvalues.items()}),
        "boundary": boundary_dataset([one.boundary for one in spectra]),
        "table": _table_dataset(spectra, comparisons),
    }
    if grid is not None:
        groups["density"] = grid.to_dataset()
    if branches:
        columns = {
            "variance_h": [branch.variance["h"] for branch, _ in branches],
            "leading_edge": [boundary.leading_edge for _, boundary in branches],
            "imaginary_intercept": [boundary.imaginary_intercept for _, boundary in branches],
            "stable": [bool(branch.stable) for branch, _ in branches],
        }
        groups["static"] = xr.Dataset({k: ("branch", np.array(v)) for k, v in columns.items()})
    return groups | state_datasets([(one.network, one.state) for one in spectra])


def _table_dataset(spectra, comparisons: Sequence[Comparison]) -> xr.Dataset:
    columns = {
        "theory_edge": _theory_edges(spectra),
        "network_edge": [one.leading_edge for one in spectra],
        "theory_imaginary": _theory_heights(spectra),
        "network_imaginary": [one.largest_imaginary for one in spectra],
        "imaginary_intercept": [float(one.boundary.imaginary_intercept) for one in spectra],
        "theory_near": [one.theory_near for one in spectra],
        "network_near": [one.network_near for one in spectra],
        "outside": [one.outside for one in spectra],
        "seed": [one.network.seed for one in spectra],
    }
    attributes = {"near": spectra[0].near, "couplings": spectra[0].couplings}
    attributes["comparisons"] = "\n".join(str(one) for one in comparisons)
    variables = {name: ("network", np.asarray(column)) for name, column in columns.items()}
    return xr.Dataset(variables, attrs=attributes)


def _yes(flag: bool) -> str:
    return "yes" if flag else "no"


def _named(cell: AbstractCell) -> str:
    """Return the cell's name and the parameters that differ from their defaults."""
    known = inspect.signature(type(cell)).parameters
    shown = []
    for name, value in vars(cell).items():
        if name in known and np.array_equal(value, known[name].default):
            continue
        text = (
            f"{float(value):g}" if np.shape(value) == () and not isinstance(value, str) else "..."
        )
        shown.append(f"{name} = {value if isinstance(value, str) else text}")
    return f"{type(cell).__name__}: " + (", ".join(shown) or "default parameters")


def _folded(title: str) -> str:
    """Break a long title where a parameter ends."""
    lines = [""]
    for part in title.split(", "):
        if len(lines[-1]) + len(part) > 80:
            lines.append("")
        lines[-1] += part + ", "
    return "\n".join(line.rstrip() for line in lines).rstrip(", ")
