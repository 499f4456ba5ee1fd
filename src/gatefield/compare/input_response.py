"""Static input and chaos: the largest exponent against the strength of the input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import numpy as np

from gatefield.cells import AbstractCell
from gatefield.cells.base import check_drive
from gatefield.compare.exponents import state_kinds
from gatefield.compare.stations import Station, stations
from gatefield.core.checks import as_number, check_count, check_seed
from gatefield.core.errors import refuse
from gatefield.core.results import AbstractResult, Status, quantity
from gatefield.core.types import Bool, Float, HostArray, Int
from gatefield.networks import GaussianInput
from gatefield.phases import unstable_inputs
from gatefield.theory.static import solve_static

STRENGTHS = (0.0, 0.05, 0.1, 0.2, 0.5, 1.0)


class InputResponse(AbstractResult):
    r"""Largest Lyapunov exponent against the strength of a static random input.

    Natural logarithm, per unit of the units' time constant (maps: per step).

    Attributes
    ----------
    strengths
        Standard deviations :math:`\sigma_I` of the input over units.
    exponent, standard_error
        Of the state of theory that networks reach from active states; NaN where theory failed.
    moves
        Whether that state moves.
    resting
        Exponent of a stable fixed point beside a moving state; NaN where there is none.
    radius
        Smallest static radius rho of the fixed points: above one, none of them is stable.
    sizes
        Units of the networks.
    rates, rate_errors
        Of the networks, the same couplings at every strength, and errors within each run.
    active
        Which of the networks had not come to rest.
    lower, upper
        Intervals of strengths in which no fixed point is stable (`phases.unstable_inputs`);
        infinity where one goes on beyond ``searched``.
    searched
        The largest strength at which fixed points were looked for; NaN if they were not.
    cell, drive, is_map
        What was driven, where, and whether time counts steps.
    status
        OK, or NOT_CONVERGED if theory failed at a strength.
    settings
        What made the networks.
    """

    strengths: Float[HostArray, " strength"] = eqx.field(metadata=quantity("strength"))
    exponent: Float[HostArray, " strength"] = eqx.field(
        metadata=quantity("strength", unit="1 / time constant")
    )
    standard_error: Float[HostArray, " strength"] = eqx.field(
        metadata=quantity("strength", unit="1 / time constant")
    )
    moves: Bool[HostArray, " strength"] = eqx.field(metadata=quantity("strength"))
    resting: Float[HostArray, " strength"] = eqx.field(
        metadata=quantity("strength", unit="1 / time constant")
    )
    radius: Float[HostArray, " strength"] = eqx.field(metadata=quantity("strength"))
    sizes: Int[HostArray, " size"] = eqx.field(metadata=quantity("size"))
    rates: Float[HostArray, "size strength network"] = eqx.field(
        metadata=quantity("size", "strength", "network", unit="1 / time constant")
    )
    rate_errors: Float[HostArray, "size strength network"] = eqx.field(
        metadata=quantity("size", "strength", "network", unit="1 / time constant")
    )
    active: Bool[HostArray, "strength network"] = eqx.field(
        metadata=quantity("strength", "network")
    )
    lower: Float[HostArray, " window"] = eqx.field(metadata=quantity("window"))
    upper: Float[HostArray, " window"] = eqx.field(metadata=quantity("window"))
    searched: Float[HostArray, ""] = eqx.field(metadata=quantity())
    cell: AbstractCell
    drive: str = eqx.field(static=True)
    is_map: bool = eqx.field(static=True)
    status: Status = eqx.field(static=True)
    settings: tuple[tuple[str, Any], ...] = eqx.field(static=True)

    @property
    def mean_rates(self) -> Float[HostArray, " strength"]:
        """Mean rate of the largest networks, NaN where none were simulated."""
        return self._largest()[0]

    @property
    def mean_errors(self) -> Float[HostArray, " strength"]:
        """Standard error of `mean_rates` over networks; NaN where there are fewer than two."""
        return self._largest()[1]

    def _largest(self) -> tuple[HostArray, HostArray]:
        count = self.rates.shape[-1]
        if self.sizes.size == 0 or count == 0:
            nothing = np.full(self.strengths.shape, np.nan)
            return nothing, nothing
        rates = self.rates[int(np.argmax(self.sizes))]
        if count < 2:
            return rates.mean(-1), np.full(self.strengths.shape, np.nan)
        return rates.mean(-1), rates.std(-1, ddof=1) / np.sqrt(count)

    @property
    def effect(self) -> str:
        """What input does by theory: "induces chaos", "suppresses chaos", "both", or "neither".

        As seen at the strengths that were looked at, the smallest of which stands for no input.
        """
        return effect_of(self.exponent)

    @property
    def effect_on_networks(self) -> str:
        """The same by the largest networks, of which changes below two standard errors are none.

        Of a single network the error is that within its run.
        """
        errors = self.mean_errors
        if self.rates.shape[-1] == 1 and self.sizes.size:
            errors = self.rate_errors[int(np.argmax(self.sizes)), :, 0]
        sure = np.abs(self.mean_rates) > 2 * errors
        return effect_of(np.where(sure, self.mean_rates, 0.0))


def effect_of(exponents: Float[HostArray, " strength"]) -> str:
    """Name what happens to the sign of exponents as the input grows.

    Parameters
    ----------
    exponents
        Against the strength, ascending; zeros and NaN count as neither sign.

    Returns
    -------
    str
        "induces chaos" (from negative to positive), "suppresses chaos" (from positive to negative),
        "both", or "neither".
    """
    signs = np.sign(np.nan_to_num(exponents))
    signs = signs[signs != 0]
    rises = bool(np.any(np.diff(signs) > 0))
    falls = bool(np.any(np.diff(signs) < 0))
    if rises and falls:
        return "both"
    return "induces chaos" if rises else "suppresses chaos" if falls else "neither"


def input_response(
    cell: AbstractCell,
    strengths: float | Sequence[float] = STRENGTHS,
    *,
    drive: str | None = None,
    sizes: int | Sequence[int] = (400,),
    networks: int = 4,
    t_max: float = 100.0,
    burn_in: float = 200.0,
    seed: int = 0,
    windows: bool = True,
    report: Callable[[str], None] | None = None,
) -> InputResponse:
    r"""Measure and predict the largest Lyapunov exponent under static input of growing strength.

    Every unit gets its own constant, :math:`I_i \sim N(0, \sigma_I^2)`. Near the continuous
    transition input suppresses chaos; near the discontinuous one it induces it, since it takes away
    the stable fixed point at zero.

    Parameters
    ----------
    cell
        Any cell.
    strengths
        Standard deviations of the input over units, ascending, not negative; zero is no input.
    drive
        The driven name; the first one of the cell by default.
    sizes, networks
        Units of the networks, and how many of each size; an empty tuple leaves them out. Couplings
        and start are the same at every strength.
    t_max, burn_in
        Duration of each measurement and of what goes before; steps for maps.
    seed
        Of the first network.
    windows
        Find the intervals of strengths without stable fixed point, too.
    report
        Called with what is being computed.

    Returns
    -------
    InputResponse

    Raises
    ------
    InvalidInputError
        For a cell without drives, an unknown drive, or strengths that are negative or do not
        ascend.

    Assumptions
    -----------
    Theory is for N -> infinity: networks of N units lie below it by about 1/N, and chaos beside a
    stable fixed point dies out in small ones. What the windows assume says
    `phases.unstable_inputs`.

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Sec. V B 4, Fig. 5.
    """
    drive = check_drive(cell, drive)
    values = _checked(strengths)
    networks, seed = check_count("networks", networks), check_seed(seed)
    sizes = tuple(check_count("sizes", n, at_least=2) for n in np.atleast_1d(sizes).tolist())
    t_max = as_number("t_max", t_max, positive=True)
    burn_in = as_number("burn_in", burn_in, positive=True)
    inputs = {value: {drive: GaussianInput(variance=value**2)} for value in values if value}
    found = stations(
        dict.fromkeys(values, cell),
        sizes,
        networks=networks,
        t_max=t_max,
        burn_in=burn_in,
        inputs=inputs,
        seed=seed,
        report=None if report is None else lambda text: report(f"{drive} input of {text}"),
    )
    if windows and report is not None:
        report("fixed points")
    ends = None
    if windows:
        # At least as far as was asked for; without a strength the default range does.
        ends = unstable_inputs(cell, drive, seed=seed)
        if values[-1] > ends.largest:
            ends = unstable_inputs(cell, drive, largest=values[-1], seed=seed)
    last = [one.states[-1] for one in found]
    good = [state.status is Status.OK for state in last]

    def kept(values: Sequence[Any]) -> HostArray:
        pairs = zip(values, good, strict=True)
        return np.array([float(value) if fine else np.nan for value, fine in pairs])

    return InputResponse(
        strengths=np.array(values),
        exponent=kept([state.exponent for state in last]),
        standard_error=kept([state.standard_error for state in last]),
        moves=np.array([bool(state.mean_field.fluctuates) for state in last]),
        resting=np.array([_resting(one) for one in found]),
        radius=np.array([_smallest_radius(cell, drive, value, seed) for value in values]),
        sizes=np.array(sizes, dtype=int),
        rates=_of_networks(found, sizes, networks, "rate"),
        rate_errors=_of_networks(found, sizes, networks, "error"),
        active=np.array([one.moving if sizes else np.zeros(0, bool) for one in found]),
        lower=np.zeros(0) if ends is None else ends.lower,
        upper=np.zeros(0) if ends is None else ends.upper,
        searched=np.asarray(np.nan) if ends is None else ends.largest,
        cell=cell,
        drive=drive,
        is_map=last[0].is_map,
        status=Status.OK if all(good) else Status.NOT_CONVERGED,
        settings=(("networks", networks), ("t_max", t_max), ("burn_in", burn_in), ("seed", seed)),
    )


def _checked(strengths: float | Sequence[float]) -> tuple[float, ...]:
    given = np.atleast_1d(np.asarray(strengths, dtype=object)).tolist()
    values = tuple(as_number("strengths", value, nonnegative=True) for value in given)
    if not values or any(b <= a for a, b in zip(values[:-1], values[1:], strict=True)):
        refuse("strengths", strengths, "one or more ascending numbers", "For instance (0, 0.1, 1).")
    return values


def _resting(one: Station) -> float:
    kinds = state_kinds(one.states)
    if "rest" not in kinds or kinds[-1] == "rest":
        return float("nan")
    return float(one.states[kinds.index("rest")].exponent)


def _smallest_radius(cell: AbstractCell, drive: str, strength: float, seed: int) -> float:
    given = {drive: strength**2}
    branches = solve_static(cell, input_variance=given, seed=seed, throw=False)
    return min((float(branch.radius) for branch in branches), default=float("nan"))


def _of_networks(
    found: Sequence[Station], sizes: Sequence[int], networks: int, name: str
) -> HostArray:
    rows = [[one.rates[n].columns[name] for one in found] for n in sizes]
    return np.array(rows).reshape(len(sizes), len(found), networks if sizes else 0)
