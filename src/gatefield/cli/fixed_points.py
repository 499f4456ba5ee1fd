"""The command ``gatefield fixed-points``: points of networks or of a model's layer, and theory."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from gatefield.analysis.fixed_points import FixedPoints, find_fixed_points
from gatefield.cells import AbstractCell
from gatefield.cli.cell import cell_of, cell_title, inputs_of
from gatefield.cli.config import FixedPointsConfig
from gatefield.cli.notes import warnings_as_notes
from gatefield.cli.written import write_results
from gatefield.compare import with_error
from gatefield.core.errors import GatefieldError, refuse
from gatefield.core.results import Status
from gatefield.core.types import HostArray
from gatefield.io import check_writable
from gatefield.networks import GaussianInput, Network
from gatefield.plotting import fixed_points_figure
from gatefield.theory.complexity import Complexity, annealed_complexity, complexity
from gatefield.theory.static import StaticMeanField, solve_static

_SETTLES = 500  # steps of a model before what a layer sends is taken for constant
_INPUT_SEEDS = 1_000_003


class _Branch(NamedTuple):
    """A static solution, its complexity, and the exponent of the mean number (NaN if unknown)."""

    solution: StaticMeanField
    complexity: Complexity
    annealed: float


def run(config: FixedPointsConfig, console: Console | None = None) -> int:
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
        0.

    Raises
    ------
    InvalidInputError
        For files that cannot be read, or options that do not fit.
    """
    console = Console() if console is None else console
    folder = check_writable(config.output)
    attrs: dict[str, str] = {}
    branches: list[_Branch] = []
    if config.model is not None:
        network, inputs, label = _layer(config)
        networks, driven = [network], [inputs]
        title = f"{label}, $N = {network.n}$"
        attrs = {"model": config.model, "sha256": _digest(config.model)}
    else:
        cell = cell_of(config)
        given = inputs_of(config, cell)
        networks = [
            Network.sample(cell, config.n, seed=config.seed + k) for k in range(config.networks)
        ]
        driven = [_realised(given, network) for network in networks]
        label = repr(cell)
        title = cell_title(cell, given, f"$N = {config.n}$")
        if config.theory:
            with warnings_as_notes(console), Console(stderr=True).status("theory"):
                branches = _branches(console, config, cell, given)
    found = []
    with Console(stderr=True).status("searching") as status:
        for place, (network, inputs) in enumerate(zip(networks, driven, strict=True)):
            status.update(f"searching network {place + 1} of {len(networks)}")
            found.append(
                find_fixed_points(
                    network,
                    config.starts,
                    inputs=inputs,
                    spread=config.spread,
                    tolerance=config.tolerance,
                    max_steps=config.max_steps,
                    slow=config.slow,
                    seed=config.seed,
                    progress=False,
                )
            )
    console.print(label, highlight=False, soft_wrap=True, markup=False)
    _print_points(console, config, networks, found)
    _print_summary(console, found)
    if branches:
        _print_theory(console, branches)
    sizes = [size for one in branches if (size := _size(one.solution)) > 0]
    drawn = fixed_points_figure(found, theory=sizes, title=title)
    groups = {f"network_{k}": one.to_dataset() for k, one in enumerate(found)}
    if branches:
        groups["theory"] = _theory_dataset(branches)
    write_results(
        console,
        folder / config.name,
        drawn,
        config.formats,
        groups,
        config=config.model_dump_json(),
        attrs=attrs,
    )
    return 0


def _layer(config: FixedPointsConfig) -> tuple[Network, dict[str, Any], str]:
    """Return a layer of the model, the constant input that it receives, and its name."""
    stack = Network.from_file(
        config.model or "",
        config.prefix or "",
        nonlinearity=config.nonlinearity,
        dtype="float64",
    )
    if config.layer >= len(stack.layers):
        refuse("layer", config.layer, f"below {len(stack.layers)}", "Layers are counted from 0.")
    x = np.zeros(stack.features) if config.features is None else _features(config, stack.features)
    layer = stack.layers[config.layer]
    if layer.depth == 0:
        inputs: dict[str, Any] = {name: W @ x for name, W in layer.input_weights.items()}
    else:
        received = stack.layer_inputs(np.tile(x, (_SETTLES, 1)))[config.layer]
        inputs = {name: np.asarray(series(_SETTLES - 1)) for name, series in received.items()}
    direction = ", reverse" if layer.reverse else ""
    return layer.network, inputs, f"{config.model}: layer {config.layer}{direction}"


def _features(config: FixedPointsConfig, count: int) -> HostArray:
    path = str(config.features)
    file = Path(path).expanduser()
    if not file.is_file():
        refuse("features", path, "a file", "Check the spelling and the folder.")
    try:
        with file.open("rb") as raw:
            read = np.load(raw, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        refuse("features", path, "a .npy file with numbers", "Write it by numpy.save(path, array).")
    shape = getattr(read, "shape", None)
    if shape != (count,) or read.dtype.kind not in "fiu" or not np.all(np.isfinite(read)):
        expected = f"({count},) finite real numbers, the features of the model"
        refuse("features.shape", shape, expected, "Save one constant input x.")
    return read.astype(float)


def _digest(path: str) -> str:
    return hashlib.sha256(Path(path).expanduser().read_bytes()).hexdigest()


def _realised(given: dict[str, GaussianInput], network: Network) -> dict[str, Any]:
    """Return one draw of static inputs for a network."""
    return {
        name: one.realise(network.n, 1.0, dt=1.0, seed=network.seed + k * _INPUT_SEEDS)
        for k, (name, one) in enumerate(given.items())
    }


def _branches(
    console: Console, config: FixedPointsConfig, cell: AbstractCell, given: dict[str, GaussianInput]
) -> list[_Branch]:
    means = {name: one.mean for name, one in given.items()}
    variances = {name: one.variance for name, one in given.items()}
    options: dict[str, Any] = {"input_mean": means, "input_variance": variances}
    try:
        solutions = solve_static(cell, **options, seed=config.seed, throw=False)
        found = []
        for one in solutions:
            if one.status is Status.OK:
                counted = complexity(one, points=8, seed=config.seed, throw=False)
                found.append(_Branch(one, counted, _annealed(one, config.seed)))
        return found
    except GatefieldError as error:
        # Networks can be searched where static theory has no closed form.
        console.print(f"No theory: {error}", highlight=False, soft_wrap=True, markup=False)
        return []


def _annealed(solution: StaticMeanField, seed: int) -> float:
    try:
        return float(annealed_complexity(solution, seed=seed).value)
    except GatefieldError:
        return float("nan")


def _print_points(
    console: Console,
    config: FixedPointsConfig,
    networks: Sequence[Network],
    found: Sequence[FixedPoints],
) -> None:
    first = found[0]
    table = Table(
        title=f"Points; speeds per {first.time_unit}",
        title_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    edge = "largest modulus" if first.is_map else "leading edge"
    columns = ("seed", "kind", "size", "speed", edge, "unstable", "stable", "found")
    for column in columns:
        table.add_column(column, justify="left" if column == "kind" else "right", no_wrap=True)
    for network, one in zip(networks, found, strict=True):
        sizes = np.sqrt(np.mean(one.states**2, axis=(1, 2)))
        seed = str(network.seed) if network.seed >= 0 else "given"
        for k in range(min(config.rows, len(sizes))):
            table.add_row(
                seed if k == 0 else "",
                one.kinds[k],
                f"{sizes[k]:.4g}",
                f"{one.speeds[k]:.1e}",
                f"{one.leading_edges[k]:.4f}",
                str(one.unstable[k]),
                "yes" if one.stable[k] else "no",
                str(one.found[k]),
            )
        table.add_section()
    console.print(table)
    hidden = sum(max(0, len(one.found) - config.rows) for one in found)
    if hidden:
        console.print(f"{hidden} more points are in the file; --rows prints more.")


def _print_summary(console: Console, found: Sequence[FixedPoints]) -> None:
    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True, markup=False)

    fixed = np.array([np.sum(~one.is_slow) for one in found])
    once = sum(int(np.sum(one.found[~one.is_slow] == 1)) for one in found)
    slow = sum(int(np.sum(one.is_slow)) for one in found)
    stable = sum(int(np.sum(one.stable & ~one.is_slow)) for one in found)
    ended = np.mean([float(one.converged) for one in found])
    text = f"fixed points: {fixed.sum()} in {len(found)} networks, {stable} of them stable"
    if len(found) > 1:
        text += f", {fixed.mean():.1f} each"
    say(text + (f"; slow points: {slow}" if slow else ""))
    say(f"{ended:.0%} of the searches ended at one of the points.")
    if once:
        say(
            f"{once} of {fixed.sum()} fixed points were found by a single search: more exist, most "
            "likely. Raise --starts until points are found several times."
        )


def _print_theory(console: Console, branches: Sequence[_Branch]) -> None:
    names = list(branches[0].solution.variance)
    table = Table(
        title="Static mean-field theory, and how the number of fixed points grows with N",
        title_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    columns = (*(f"var {name}" for name in names), "radius", "stable", "complexity", "mean number")
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    for one in branches:
        solution, counted = one.solution, one.complexity
        value = with_error(float(counted.value), float(counted.standard_error))
        table.add_row(
            *(f"{float(solution.variance[name]):.4g}" for name in names),
            f"{float(solution.radius):.4f}",
            "yes" if solution.stable else "no",
            value if counted.status is Status.OK else "",
            f"{one.annealed:.4g}" if np.isfinite(one.annealed) else "",
        )
    console.print(table)
    console.print(
        "complexity: exp(N C) fixed points by the paper's Kac-Rice argument (Appendix J); mean "
        "number: exponent of the mean over networks, with the points' distribution left free.",
        highlight=False,
        soft_wrap=True,
    )


def _size(solution: StaticMeanField) -> float:
    """Return the root mean square over units and components, as `FixedPoints` have it."""
    squares = [
        float(solution.variance[name] + solution.mean[name] ** 2) for name in solution.variance
    ]
    return float(np.sqrt(np.mean(squares)))


def _theory_dataset(branches: Sequence[_Branch]) -> xr.Dataset:
    solutions = [one.solution for one in branches]
    columns: dict[str, Any] = {
        f"variance_{name}": [float(one.variance[name]) for one in solutions]
        for name in solutions[0].variance
    }
    columns["radius"] = [float(one.radius) for one in solutions]
    columns["stable"] = [bool(one.stable) for one in solutions]
    columns["complexity"] = [float(one.complexity.value) for one in branches]
    columns["complexity_error"] = [float(one.complexity.standard_error) for one in branches]
    columns["mean_number_exponent"] = [one.annealed for one in branches]
    return xr.Dataset({name: ("branch", values) for name, values in columns.items()})
