"""The phase diagram against networks: what each region predicts, and what networks did."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import numpy as np

from gatefield.analysis import perturbation_growth
from gatefield.cells import GatedRNN
from gatefield.compare.fixed_points import nonzero_fixed_points
from gatefield.core.checks import as_parameter, check_count
from gatefield.core.errors import refuse
from gatefield.core.results import AbstractResult, quantity
from gatefield.core.types import Bool, Float, HostArray, Int
from gatefield.networks import Network, simulate
from gatefield.phases import REGIONS, classify

REPRESENTATIVES: dict[int, tuple[float, float]] = {
    1: (1.6, 5.0),
    2: (1.8, 12.0),
    3: (1.85, 30.0),
    4: (3.0, 8.0),
    5: (3.0, 1.0),
}
"""A pair (g_h, alpha_r) well inside each region."""

_DIED_OUT = 1e-2
_SMALL = 1e-6
_FROZEN = 1e-3
_SWITCH = 1e3
_SEARCH_UNITS = 120
_DT = 0.1
_FAST_GATE = 0.05  # stands for tau_r -> 0, which is no flow


class RegionCheck(AbstractResult):
    """Theory's verdict on a pair of gains beside what networks did.

    Attributes
    ----------
    g_h, alpha_r
        The point.
    region
        What theory says, 1 to 5.
    observed
        The region that the networks' behaviour amounts to.
    small_growth
        For each network the growth rate of a small perturbation of the zero state: negative if
        the zero fixed point is stable.
    lifetime
        For each network the time until activity from a random start died out; infinity where it
        did not during the run.
    exponent, exponent_error
        For each network the growth rate of perturbations of the surviving activity (0 where none
        survived), and its standard error.
    fixed_points
        For each network the number of nonzero fixed points found.
    speed_with_switch
        For each network the speed of h after the run with a switch-like update gate
        (alpha_z = 1000): a marginally stable network freezes.
    n
        Number of units.
    t_max
        Duration of the runs.
    """

    g_h: Float[HostArray, ""] = eqx.field(metadata=quantity())
    alpha_r: Float[HostArray, ""] = eqx.field(metadata=quantity())
    region: Int[HostArray, ""] = eqx.field(metadata=quantity())
    observed: Int[HostArray, ""] = eqx.field(metadata=quantity())
    agrees: Bool[HostArray, ""] = eqx.field(metadata=quantity())
    small_growth: Float[HostArray, " network"] = eqx.field(
        metadata=quantity("network", unit="1 / time constant")
    )
    lifetime: Float[HostArray, " network"] = eqx.field(
        metadata=quantity("network", unit="time constant")
    )
    exponent: Float[HostArray, " network"] = eqx.field(
        metadata=quantity("network", unit="1 / time constant")
    )
    exponent_error: Float[HostArray, " network"] = eqx.field(
        metadata=quantity("network", unit="1 / time constant")
    )
    fixed_points: Int[HostArray, " network"] = eqx.field(metadata=quantity("network"))
    speed_with_switch: Float[HostArray, " network"] = eqx.field(
        metadata=quantity("network", unit="1 / time constant")
    )
    n: int = eqx.field(static=True)
    t_max: float = eqx.field(static=True)

    @property
    def prediction(self) -> str:
        """What theory says of the region, in words."""
        return REGIONS[int(self.region)]

    @property
    def observation(self) -> str:
        """What the networks did, in words and numbers."""
        networks = self.lifetime.size
        stable = int(np.sum(self.small_growth < 0))
        lived = int(np.sum(np.isinf(self.lifetime)))
        parts = [f"zero state stable in {stable} of {networks}"]
        if lived:
            exponent = self.exponent[np.isinf(self.lifetime)].mean()
            parts.append(f"active at t = {self.t_max:g} in {lived}, exponent {exponent:+.3f}")
        if lived < networks:
            ended = np.median(self.lifetime[np.isfinite(self.lifetime)])
            parts.append(f"died out in {networks - lived} (median t = {ended:.0f})")
        parts.append(f"nonzero fixed points in {int(np.sum(self.fixed_points > 0))}")
        frozen = int(np.sum(self.speed_with_switch < _FROZEN))
        parts.append(f"frozen by a switch-like update gate in {frozen}")
        return "; ".join(parts)


def check_region(
    g_h: float,
    alpha_r: float,
    *,
    n: int = 400,
    networks: int = 5,
    t_max: float = 200.0,
    tau_r: float = 1.0,
    seed: int = 0,
) -> RegionCheck:
    """Ask theory and simulated networks, without biases and inputs, about one pair of gains.

    Every network is asked whether the zero state is stable, how long activity from a random start
    lives and whether perturbations of it grow, whether nonzero fixed points are found (in a network
    of 120 units), and whether a switch-like update gate freezes it. The majority decides: unstable
    zero state: 4, or 5 if frozen; stable with surviving activity: 3 (or 5); otherwise 2 if nonzero
    fixed points are found, else 1.

    Parameters
    ----------
    g_h, alpha_r
        The two gains.
    n, networks, t_max
        Units of each network, number of networks, duration in units of the time constant.
    tau_r
        Time constant of the output gate; for 0 (the theory's limit) networks have 0.05.
    seed
        Seed of the first network; the others follow.

    Returns
    -------
    RegionCheck

    Raises
    ------
    InvalidInputError
        For numbers that make no sense.

    Assumptions
    -----------
    Finite networks blur the lines: chaotic transients of region 3 end after times that grow with N,
    and transients of region 2 can outlast t_max close to the dynamical line. alpha_z = 0 but for
    the test with the switch.
    """
    networks = check_count("networks", networks)
    if networks % 2 == 0:
        refuse("networks", networks, "an odd number", "A majority decides.")
    n = check_count("n", n, at_least=10)
    duration = float(as_parameter("t_max", t_max, positive=True))
    region = classify(g_h, alpha_r, tau_r=tau_r)
    lag = tau_r or _FAST_GATE
    cell = GatedRNN(g_h=g_h, alpha_r=alpha_r, tau_r=lag)
    switch = GatedRNN(g_h=g_h, alpha_r=alpha_r, tau_r=lag, alpha_z=_SWITCH)
    # Runge-Kutta steps must resolve the gate: they are unstable beyond 2.8 of its time constants.
    dt = min(_DT, lag)
    rows = []
    for number in range(seed, seed + networks):
        network = Network.sample(cell, n, seed=number)
        lifetime, exponent, error = _activity(network, duration, dt, number)
        small = Network.sample(cell, min(n, _SEARCH_UNITS), seed=number)
        rows.append(
            (
                _small_growth(network, dt, number),
                lifetime,
                exponent,
                error,
                len(nonzero_fixed_points(small, seed=number)),
                _final_speed(network.with_cell(switch), duration, dt, number),
            )
        )
    growth, lifetime, exponent, error, fixed_points, speed = (
        np.array(c) for c in zip(*rows, strict=True)
    )
    observed = _observed(growth, lifetime, fixed_points, speed)
    return RegionCheck(
        g_h=np.asarray(g_h, float),
        alpha_r=np.asarray(alpha_r, float),
        region=np.asarray(region),
        observed=np.asarray(observed),
        agrees=np.asarray(observed == region),
        small_growth=growth,
        lifetime=lifetime,
        exponent=exponent,
        exponent_error=error,
        fixed_points=fixed_points,
        speed_with_switch=speed,
        n=n,
        t_max=duration,
    )


def check_regions(
    points: Any = None, *, report: Callable[[RegionCheck], None] | None = None, **options: Any
) -> tuple[RegionCheck, ...]:
    """Check several pairs of gains against networks, by default one in each of the five regions.

    Parameters
    ----------
    points
        Pairs (g_h, alpha_r).
    report
        Called with each check as it is done.
    options
        Passed on to `check_region`.

    Returns
    -------
    tuple of RegionCheck
    """
    checks = []
    for g_h, alpha_r in REPRESENTATIVES.values() if points is None else points:
        checks.append(check_region(g_h, alpha_r, **options))
        if report is not None:
            report(checks[-1])
    return tuple(checks)


def _small_growth(network: Network, dt: float, seed: int) -> float:
    """Return the growth rate of a tiny state between t = 30 and 60, once its direction settled."""
    tiny = _SMALL * np.random.default_rng(seed).standard_normal((3, network.n))
    run = simulate(network, 60.0, dt=dt, initial=tiny, save_every=round(30 / dt))
    h = run.component("h")
    return float(np.log(np.linalg.norm(h[2]) / np.linalg.norm(h[1])) / 30.0)


def _activity(network: Network, t_max: float, dt: float, seed: int) -> tuple[float, float, float]:
    """Return lifetime of the activity and, where it survived, the growth rate and its error."""
    run = simulate(network, t_max, dt=dt, seed=seed, save_every=round(1 / dt))
    size = np.sqrt(np.mean(run.component("h") ** 2, axis=-1))
    alive = np.flatnonzero(size > _DIED_OUT)
    if alive[-1] < len(size) - 1:
        return float(run.times[alive[-1] + 1]), 0.0, 0.0
    growth = perturbation_growth(network, run.final, t_max, dt=dt, seed=seed)
    return np.inf, float(growth.rate), float(growth.standard_error)


def _final_speed(network: Network, t_max: float, dt: float, seed: int) -> float:
    """Return the root-mean-square speed of h over about the last unit of time."""
    run = simulate(network, t_max, dt=dt, seed=seed, save_every=round(1 / dt))
    moved = run.component("h")[-1] - run.component("h")[-2]
    return float(np.sqrt(np.mean(moved**2)) / (run.times[-1] - run.times[-2]))


def _observed(growth, lifetime, fixed_points, speed) -> int:
    zero_stable, active, found, frozen = (
        bool(np.median(flags.astype(float)) > 0.5)
        for flags in (growth < 0, np.isinf(lifetime), fixed_points > 0, speed < _FROZEN)
    )
    if not zero_stable or active:
        return 5 if frozen else (3 if zero_stable else 4)
    return 2 if found else 1
