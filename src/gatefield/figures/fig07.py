"""Figure 7 of the paper: the phase diagram, whole and around the discontinuous transition."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from gatefield.compare import RegionCheck
from gatefield.phases import PhaseDiagram
from gatefield.plotting import legend_handles, plot_phase_diagram, style


def figure(
    diagram: PhaseDiagram, zoom: PhaseDiagram | None = None, checks: Sequence[RegionCheck] = ()
) -> Figure:
    """Draw the phase diagram, with a second panel for a closer look.

    Parameters
    ----------
    diagram
        The whole plane.
    zoom
        A part of it, for instance around the discontinuous transition; None leaves it out.
    checks
        Points where networks were simulated.

    Returns
    -------
    Figure

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Fig. 7.
    """
    panels = [diagram] if zoom is None else [diagram, zoom]
    with style():
        drawn, axes = plt.subplots(1, len(panels), figsize=(4.9 * len(panels), 5.2), squeeze=False)
        for letter, panel, ax in zip("ab", panels, axes[0], strict=False):
            plot_phase_diagram(panel, checks=checks, ax=ax, legend=False)
            ax.set_title(f"({letter})" if len(panels) > 1 else "")
        drawn.legend(
            handles=legend_handles(diagram, checked=bool(checks)),
            loc="outside lower center",
            ncols=2,
        )
    return drawn
