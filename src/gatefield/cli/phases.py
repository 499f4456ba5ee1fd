"""The command ``gatefield phases``: diagram, table, verification, files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from gatefield import phases, theory
from gatefield.cells import GatedRNN
from gatefield.cli.config import PhasesConfig
from gatefield.compare import REPRESENTATIVES, RegionCheck, check_regions
from gatefield.figures import fig07
from gatefield.io import check_writable, save_netcdf, stack_datasets
from gatefield.plotting import save_figure
from gatefield.theory.dynamical_fold import lower_end

_ZOOM_G, _ZOOM_ALPHA = (1.4, 2.1), (0.0, 60.0)
_TABLE_GAINS = (1.45, 1.5, 1.65, 1.7, 1.8, 1.9, 1.95)
_TABLE_ALPHAS = (0.0, 1.0, 2.0, 5.0, 10.0)


def run(config: PhasesConfig, console: Console | None = None) -> int:
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
        0, or 1 if networks disagree with theory at a region's own representative point.
    """
    console = Console() if console is None else console
    folder = check_writable(config.output)
    conditions = config.conditions()
    with console.status("computing the phase diagram"):
        diagram = _diagram(config, conditions)
        zoom = _zoom(config, conditions, diagram)
    _print_lines(console, config, diagram)
    _save(folder, config, diagram, zoom, (), console)
    points = config.points()
    for g_h, alpha_r in points:
        _print_point(console, config, conditions, g_h, alpha_r)
    if not config.verify:
        return 0
    if not _is_plain(config) or config.z_offset or config.input_variance_z:
        console.print(
            "Networks are simulated without biases and inputs only: none were. "
            "`gatefield lines --point` does so with them."
        )
        return 0
    checks = _verify(console, config, points or list(REPRESENTATIVES.values()))
    _save(folder, config, diagram, zoom, checks, console)
    agreeing = sum(bool(check.agrees) for check in checks)
    console.print(f"Networks did what theory says at {agreeing} of {len(checks)} points.")
    return int(agreeing < len(checks) and not points)


def _is_plain(config: PhasesConfig) -> bool:
    """Whether nothing biases or drives h and r, so that the dynamical line is known."""
    variances = config.conditions()
    driven = [variances["input_variance"][name] for name in "hr"]
    return not any((config.beta_h, config.beta_r, *driven, *variances["bias_variance"].values()))


def _diagram(config, conditions, g=None, alpha=None) -> phases.PhaseDiagram:
    g = (config.g_min, config.g_max) if g is None else g
    alpha = (config.alpha_min, config.alpha_max) if alpha is None else alpha
    return phases.phase_diagram(
        np.linspace(g[0], g[1], config.g_points),
        np.linspace(alpha[0], alpha[1], config.alpha_points),
        tau_r=config.tau_r,
        z_offset=config.z_offset,
        line_input_variance=config.line_input_variance,
        **conditions,
    )


def _zoom(config, conditions, diagram) -> phases.PhaseDiagram | None:
    """Return a closer look at the discontinuous transition, where the diagram contains it."""
    inside = (
        config.g_min < _ZOOM_G[0] and config.g_max > _ZOOM_G[1] and min(diagram.region.shape) > 1
    )
    return _diagram(config, conditions, _ZOOM_G, _ZOOM_ALPHA) if inside else None


def _print_lines(console: Console, config: PhasesConfig, diagram: phases.PhaseDiagram) -> None:
    """Print the critical values, and where the lines end."""
    for note in diagram.notes:
        console.print(f"Note: {note}")
    conditions, lag, plain = config.conditions(), config.tau_r, _is_plain(config)
    gains = np.array(_TABLE_GAINS)
    columns = {"unstable fixed points": phases.fixed_point_line(gains, **conditions)}
    if plain:
        columns["chaos, tau_r -> 0"] = phases.dynamical_line(gains)
        if lag > 0:
            columns[f"chaos, tau_r = {lag:g}"] = phases.dynamical_line(gains, lag)
    _print_table(console, "Critical alpha_r at a given g_h", "g_h", gains, columns)

    alphas = np.array(_TABLE_ALPHAS)
    extra = config.line_input_variance
    driven = {**conditions["input_variance"], "h": config.input_variance_h + extra}
    marginal = {**conditions, "z_offset": config.z_offset}
    columns = {
        "stable below": phases.stability_line(alpha_r=alphas, **conditions),
        f"stable below, var I_h + {extra:g}": phases.stability_line(
            alpha_r=alphas, **{**conditions, "input_variance": driven}
        ),
        "marginal below (static)": phases.marginal_line(alpha_r=alphas, **marginal),
    }
    if plain:
        columns["marginal below (dmft)"] = phases.marginal_line(
            alpha_r=alphas,
            method="dmft",
            z_offset=config.z_offset,
            input_variance={"z": config.input_variance_z},
        )
    _print_table(console, "Critical g_h at a given alpha_r", "alpha_r", alphas, columns)
    if plain:
        slower = f" ({lower_end(lag):.6f} for tau_r = {lag:g})" if lag > 0 else ""
        console.print(
            f"Ends: unstable fixed points need g_h > sqrt(2) = {np.sqrt(2):.6f}, and their line "
            f"tends to alpha_r = sqrt(8) = {np.sqrt(8):.6f} at g_h = 2;\n"
            f"chaos beside a stable fixed point needs g_h > sqrt(8/3) = {np.sqrt(8 / 3):.6f} for "
            f"tau_r -> 0{slower}, and its line tends to sqrt(12) = {np.sqrt(12):.6f}."
        )


def _print_table(console: Console, title: str, first: str, rows, columns) -> None:
    table = Table(title=title, title_justify="left")
    for name in (first, *columns):
        table.add_column(name, justify="right")
    for index, value in enumerate(rows):
        table.add_row(f"{value:g}", *(_number(column[index]) for column in columns.values()))
    console.print(table)


def _print_point(console: Console, config, conditions, g_h: float, alpha_r: float) -> None:
    """Say what theory knows of one point: its region and every fixed-point branch."""
    region = phases.classify(
        g_h, alpha_r, tau_r=config.tau_r, z_offset=config.z_offset, **conditions
    )
    console.print(
        f"\n(g_h, alpha_r) = ({g_h:g}, {alpha_r:g}): region {region}, {phases.REGIONS[region]}"
    )
    cell = GatedRNN(
        g_h,
        alpha_r=alpha_r,
        beta_h=config.beta_h,
        beta_r=config.beta_r,
        input_gating="update",
    )
    branches = theory.static.solve_static(
        cell,
        input_variance=conditions["input_variance"],
        bias_variance=conditions["bias_variance"],
    )
    for branch in branches:
        verdict = "stable" if branch.stable else "unstable"
        console.print(
            f"  fixed points with variance D_h = {branch.variance['h']:.6g}: "
            f"radius {branch.radius:.6f}, {verdict}"
        )


def _verify(console: Console, config: PhasesConfig, points: Sequence) -> Sequence[RegionCheck]:
    """Simulate networks at each point, and say what they did beside what theory says."""
    console.print(f"\nTheory beside {config.networks} networks of {config.n} units at each point:")

    def report(check: RegionCheck) -> None:
        console.print(_told(check), highlight=False)

    with console.status("simulating networks"):
        return check_regions(
            points,
            report=report,
            n=config.n,
            networks=config.networks,
            t_max=config.t_max,
            tau_r=config.tau_r,
            seed=config.seed,
        )


def _told(check: RegionCheck) -> str:
    verdict = "agree" if check.agrees else f"DISAGREE, they look like region {check.observed}"
    return (
        f"({check.g_h:g}, {check.alpha_r:g})"
        f" theory: region {check.region}, {check.prediction}\n"
        f"    networks: {check.observation}\n"
        f"    {verdict}"
    )


def _save(folder: Path, config, diagram, zoom, checks, console: Console) -> None:
    drawn = fig07.figure(diagram, zoom, checks)
    stem = folder / config.name
    paths = save_figure(drawn, stem, tuple(config.formats))
    groups = {} if zoom is None else {"zoom": zoom.to_dataset()}
    if checks:
        groups["checks"] = stack_datasets(checks, "point")
    dataset = diagram.to_dataset().assign_attrs(config=config.model_dump_json())
    if checks:
        dataset = dataset.assign_attrs(lines="\n".join(_told(check) for check in checks))
    paths.append(save_netcdf(f"{stem}.nc", dataset, **groups))
    if not checks:
        console.print("Wrote " + ", ".join(str(path) for path in paths))


def _number(value: float) -> str:
    return "none" if not np.isfinite(value) else f"{value:.6g}"
