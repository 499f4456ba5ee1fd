"""What is said of transients on both sides of the critical lines."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

from gatefield.analysis.transients import TransientLengths, TransientTrend
from gatefield.compare import with_error
from gatefield.figures.base import verdict

Critical = Mapping[str, float]
"""Critical alpha_r: "fixed_points", "slow" (chaos, tau_r = 1)."""


def region(alpha: float, critical: Critical) -> int:
    """Return the region of the phase diagram (1, 2 or 3) below g_h = 2."""
    return 1 + (alpha > critical["fixed_points"]) + (alpha > critical["slow"])


def below_and_above(
    found: Mapping[float, TransientLengths], critical: Critical
) -> tuple[dict[float, TransientTrend], dict[float, TransientTrend]]:
    """Return the growth with N at each gain, in region 2 and in region 3, where it is known."""
    trends = {alpha: one.trend() for alpha, one in found.items() if one.sizes.size > 1}
    known = {alpha: one for alpha, one in trends.items() if np.isfinite(one.power)}
    return (
        {alpha: one for alpha, one in known.items() if region(alpha, critical) == 2},
        {alpha: one for alpha, one in known.items() if region(alpha, critical) == 3},
    )


def length_line(
    alpha: float, found: TransientLengths, critical: Critical, theory: xr.Dataset
) -> str:
    """Say how long transients last at one gain, and how they grow with N."""
    told = []
    for n, median, (low, high) in zip(
        found.sizes, found.medians, found.median_intervals(), strict=True
    ):
        counts, total = list(found.counts(int(n)).values()), found.outcomes.shape[1]
        names = ("at rest elsewhere", "moving, not chaotic", "still chaotic")
        rest = [
            f", {count} {name}" for count, name in zip(counts[1:4], names, strict=True) if count
        ]
        spread = found.survival(int(n)).spread
        told.append(
            f"N = {n}: median {_time(median, found)} ({_time(low, found)} to "
            f"{_time(high, found)}), spread {spread:.2f} ({total} networks{''.join(rest)})"
        )
    trend = found.trend()
    if np.isfinite(trend.power):
        low, high = trend.power_interval
        told.append(
            f"median as N^a: a = {float(trend.power):.2f} ({low:.2f} to {high:.2f}); as e^(b N): "
            f"b = {1e3 * float(trend.rate):.2f} per 1000 units; smallest against largest N: "
            f"p = {float(trend.p_value):.1g}"
        )
    if alpha in theory["alpha_r"].values:
        one = theory.sel(alpha_r=alpha)
        if np.isfinite(one["time"]):
            when = with_error(float(one["time"]), float(one["error"]))
            told.append(f"mean-field theory (N -> infinity) comes to rest at {when}")
    start = f"alpha_r = {alpha:g} (region {region(alpha, critical)}):"
    return "\n    ".join([start, *told])


def claim_lines(
    found: Mapping[float, TransientLengths], critical: Critical, theory: xr.Dataset
) -> tuple[str, ...]:
    """Say which of the paper's claims on the growth with N the networks bear out."""
    below, above = below_and_above(found, critical)
    lines = []
    if above:
        shown = all(one.power_interval[0] > 0 for one in above.values())
        wrong = any(one.power_interval[1] < 0 for one in above.values())
        told = "NOT SHOWN by so few networks" if not (shown or wrong) else verdict(shown)
        lines.append(
            f"Claim: above the dynamical line transients grow with N: {told} ({_powers(above)})"
        )
    if below:
        grows = [alpha for alpha, one in below.items() if one.power_interval[0] > 0]
        reason = "they grow too, if slowly" if grows else "no growth is shown"
        lines.append(
            f"Claim: below it they do not: {verdict(not grows)} at these N, {reason} "
            f"({_powers(below)})"
        )
    if below and above:
        fastest = max(below, key=lambda alpha: float(below[alpha].power))
        slowest = min(above, key=lambda alpha: float(above[alpha].power))
        apart = below[fastest].power_interval[1] < above[slowest].power_interval[0]
        lines.append(
            f"Slowest growth above (alpha_r = {slowest:g}) against fastest below (alpha_r = "
            f"{fastest:g}): {float(above[slowest].power):.2f} against "
            f"{float(below[fastest].power):.2f}, intervals {'apart' if apart else 'overlap'}"
        )
    lines.extend(_limits(found, theory))
    return tuple(lines)


def _limits(found: Mapping[float, TransientLengths], theory: xr.Dataset) -> list[str]:
    """Say whether the largest networks stay below the time of infinite ones."""
    lines = []
    for alpha in theory["alpha_r"].values.tolist():
        limit, error = (float(theory[name].sel(alpha_r=alpha)) for name in ("time", "error"))
        one = found.get(alpha)
        if one is None or not np.isfinite(limit):
            continue
        low = float(one.median_intervals()[-1, 0])
        good = low <= limit + 4 * error
        lines.append(
            f"Limit at alpha_r = {alpha:g}: the median at N = {one.sizes[-1]} does not exceed "
            f"theory's {with_error(limit, error)} of infinite networks: {verdict(good)}"
        )
    return lines


def _powers(trends: Mapping[float, TransientTrend]) -> str:
    parts = []
    for alpha, one in trends.items():
        low, high = one.power_interval
        parts.append(f"alpha_r = {alpha:g}: a = {float(one.power):.2f}, {low:.2f} to {high:.2f}")
    return "; ".join(parts)


def _time(value: float, found: TransientLengths) -> str:
    return f"{value:.1f}" if np.isfinite(value) else f"> {float(found.t_max):g}"
