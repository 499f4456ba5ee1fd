"""Figure 10 of the paper: whether the correlators of h and of the update gate factorise."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from gatefield.analysis import correlation_functions
from gatefield.cells import AbstractFlow, GatedRNN
from gatefield.core.types import Float, HostArray, Unit
from gatefield.figures.base import FigureResult, Report, silent
from gatefield.networks import Network
from gatefield.numerics.threads import in_turn
from gatefield.plotting import style

GAIN, ALPHA_R = 3.0, 2.0
ALPHAS = (1.0, 5.0, 15.0)
"""Gains alpha_z of the update gate."""
LONGEST = {1.0: 40.0, 5.0: 120.0, 15.0: 300.0}
"""Largest lag, some relaxation times."""
MODERATE = 0.1
"""Relative error up to which the assumption counts as reasonable."""
_STEP, _EVERY = 0.1, 5
_PRODUCT, _FACTORS = "black", "#d62839"
_QUANTITIES = ("h_sigma_z", "h", "sigma_z")


class Size(NamedTuple):
    """How much is computed.

    Attributes
    ----------
    n, networks
        Units of each network, and how many.
    span, burn_in
        Duration averaged over, and before it, in largest lags.
    """

    n: int
    networks: int
    span: float
    burn_in: float


FULL, QUICK = Size(600, 6, 5.0, 1.5), Size(300, 4, 3.0, 1.0)


def compute(
    *, quick: bool = False, seed: int = 0, report: Report = silent, size: Size | None = None
) -> FigureResult:
    r"""Compute Figure 10: the correlator of a product beside the product of correlators.

    .. math:: \langle h\sigma_z(t)\; h\sigma_z(t+\tau) \rangle \approx
        C_h(\tau)\, C_{\sigma_z}(\tau)

    The separable theory (Eqs. C22-C24) stands on it.

    Parameters
    ----------
    quick
        Small networks, and few of them.
    seed
        Of the first network.
    report
        Called with what is being computed.
    size
        Overrides ``quick``.

    Returns
    -------
    FigureResult
        Tables "alpha_z_1" and so on, with "product" and "factors" (network, lag).

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Fig. 10, Eqs. C22-C24.
    """
    size = size or (QUICK if quick else FULL)
    tables, lines = {}, []
    for alpha in ALPHAS:
        cell = GatedRNN(GAIN, alpha_z=alpha, alpha_r=ALPHA_R)

        def one(number: int, cell=cell, longest=LONGEST[alpha]) -> HostArray:
            return _correlators(cell, size, longest, seed + number)

        found = in_turn(
            one,
            range(size.networks),
            size=size.n,
            report=lambda done, alpha=alpha: report(
                f"alpha_z = {alpha:g}: {done} of {size.networks} networks"
            ),
        )
        table = _table(alpha, size, np.array(found))
        tables[f"alpha_z_{alpha:g}"] = table
        lines.append(_line(alpha, table))
    return FigureResult({}, {}, tables, tuple(lines))


def figure(result: FigureResult) -> Figure:
    """Draw Figure 10.

    Parameters
    ----------
    result
        From `compute`.

    Returns
    -------
    Figure
        Above both correlators, below their difference, for each alpha_z.
    """
    with style():
        shape: dict[str, Any] = {"height_ratios": (1.7, 1), "sharex": "col", "sharey": "row"}
        drawn, axes = plt.subplots(2, len(ALPHAS), figsize=(9.6, 4.9), **shape)
        for column, (letter, alpha) in enumerate(zip("abc", ALPHAS, strict=True)):
            table = result.tables[f"alpha_z_{alpha:g}"]
            upper, lower = axes[:, column]
            lags = table["lag"].values
            product, factors = (table[name].values for name in ("product", "factors"))
            for row in product:
                upper.plot(lags, row, color="#9aa5b1", lw=0.7)
            upper.plot(lags, product.mean(0), color=_PRODUCT, label=_LABELS["product"])
            upper.plot(lags, factors.mean(0), color=_FACTORS, ls="--", label=_LABELS["factors"])
            upper.set_title(rf"({letter})  $\alpha_z = {alpha:g}$")
            off = (factors - product) / product.mean(0)[0]
            mean, error = off.mean(0), _standard_error(off)
            lower.axhline(0.0, color="#7a7a7a", lw=0.9, ls=":")
            lower.plot(lags, mean, color=_FACTORS)
            lower.fill_between(lags, mean - error, mean + error, color=_FACTORS, alpha=0.25, lw=0)
            lower.set_xlim(0, lags[-1])
            lower.set_xlabel(r"lag $\tau$ (time constants)")
        axes[0, 0].set_ylabel("correlator")
        axes[1, 0].set_ylabel("difference\nof its start")
        axes[1, 0].yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes[0, 0].set_ylim(bottom=min(0.0, axes[0, 0].get_ylim()[0]))
        handles, labels = axes[0, 0].get_legend_handles_labels()
        drawn.legend(handles, labels, loc="outside upper center", ncols=2, fontsize=9)
    return drawn


_LABELS = {
    "product": r"$\langle h\sigma_z(t)\; h\sigma_z(t+\tau)\rangle$ in networks",
    "factors": r"factorised, $C_h(\tau)\, C_{\sigma_z}(\tau)$",
}


class WithProduct(AbstractFlow):
    """A gated RNN that can be asked for h sigma_z, and otherwise is the same."""

    cell: GatedRNN

    state_names: ClassVar[tuple[str, ...]] = GatedRNN.state_names
    field_names: ClassVar[tuple[str, ...]] = GatedRNN.field_names
    drive_names: ClassVar[tuple[str, ...]] = GatedRNN.drive_names

    def gains(self) -> Unit:
        """Return those of the cell."""
        return self.cell.gains()

    def outputs(self, state: Unit, fields: Unit, drive: Unit) -> Unit:
        """Return those of the cell."""
        return self.cell.outputs(state, fields, drive)

    def observables(self, state: Unit, fields: Unit, drive: Unit) -> Unit:
        """Return those of the cell, and h sigma_z."""
        own = self.cell.observables(state, fields, drive)
        return {**own, "h_sigma_z": state["h"] * own["sigma_z"]}

    def rule(self, state: Unit, fields: Unit, drive: Unit) -> Unit:
        """Return that of the cell."""
        return self.cell.rule(state, fields, drive)


def _correlators(cell: GatedRNN, size: Size, longest: float, seed: int) -> HostArray:
    """Return the correlators of h sigma_z, h and sigma_z in one network, (3, lag)."""
    network = Network.sample(WithProduct(cell), size.n, seed=seed, dtype="float32")
    found = correlation_functions(
        network,
        size.span * longest,
        burn_in=size.burn_in * longest,
        max_lag=longest,
        dt=_STEP,
        save_every=_EVERY,
        quantities=_QUANTITIES,
        blocks=2,  # which only the errors of one network need: those drawn are of several
        seed=seed,
        progress=False,
    )
    return np.stack([found.covariance[name] for name in _QUANTITIES])


def _table(alpha: float, size: Size, found: Float[HostArray, "network 3 lag"]) -> xr.Dataset:
    lags = _STEP * _EVERY * np.arange(found.shape[-1])
    dims = ("network", "lag")
    return xr.Dataset(
        {
            "product": (dims, found[:, 0]),
            "factors": (dims, found[:, 1] * found[:, 2]),
            "C_h": (dims, found[:, 1]),
            "C_sigma_z": (dims, found[:, 2]),
        },
        {"lag": ("lag", lags, {"units": "time constant"})},
        {"g_h": GAIN, "alpha_z": alpha, "alpha_r": ALPHA_R, "n": size.n},
    )


def _standard_error(values: Float[HostArray, "network lag"]) -> Float[HostArray, " lag"]:
    count = len(values)
    return values.std(axis=0, ddof=1) / np.sqrt(count) if count > 1 else np.zeros(values.shape[1])


def _line(alpha: float, table: xr.Dataset) -> str:
    product, factors = (table[name].values for name in ("product", "factors"))
    off = (factors - product) / product.mean(0)[0]
    mean, error = off.mean(0), _standard_error(off)
    place = int(np.argmax(np.abs(mean)))
    holds = "holds" if abs(mean[place]) <= MODERATE else "FAILS"
    return (
        f"alpha_z = {alpha:g} (g_h = {GAIN:g}, alpha_r = {ALPHA_R:g}): the factorisation {holds} "
        f"within {MODERATE:.0%}: largest relative error {mean[place]:+.1%} +- {error[place]:.1%} "
        f"of the correlator's start, at lag {float(table['lag'][place]):g}; at lag 0 "
        f"{mean[0]:+.1%} +- {error[0]:.1%}: <h^2 sigma_z^2> = {product.mean(0)[0]:.5f}, "
        f"C_h(0) C_sigma_z(0) = {factors.mean(0)[0]:.5f}"
    )
