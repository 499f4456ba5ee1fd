"""Cells with random parameters, so that a comparison is not made where it was tuned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gatefield.cells import GRU, LSTM, AbstractCell, GatedRNN, VanillaRNN
from gatefield.core.checks import check_count, check_names, check_seed
from gatefield.core.errors import refuse

RANGES: dict[type, dict[str, tuple[float, float]]] = {
    GatedRNN: {
        "g_h": (1.0, 5.0),
        "alpha_z": (0.0, 15.0),
        "alpha_r": (0.0, 8.0),
        "beta_h": (-0.3, 0.3),
        "beta_z": (-1.0, 1.0),
        "beta_r": (-1.0, 2.0),
        "tau_z": (0.5, 2.0),
        "tau_r": (0.5, 2.0),
    },
    VanillaRNN: {"g": (0.5, 4.0), "beta": (-0.3, 0.3)},
    GRU: {
        **dict.fromkeys(("gain_r", "gain_z", "gain_n"), (0.5, 4.0)),
        **dict.fromkeys(("bias_r", "bias_z", "bias_n", "bias_hn"), (-1.0, 1.0)),
    },
    LSTM: {
        **dict.fromkeys(("gain_i", "gain_f", "gain_g", "gain_o"), (0.5, 4.0)),
        **dict.fromkeys(("bias_i", "bias_f", "bias_g", "bias_o"), (-1.0, 1.0)),
    },
}
"""Intervals from which `draw_cells` draws each parameter, uniformly."""


def draw_cells(
    kind: type[AbstractCell],
    count: int,
    *,
    seed: int = 0,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    **fixed: Any,
) -> tuple[AbstractCell, ...]:
    """Draw cells of one kind with uniform random parameters.

    Parameters
    ----------
    kind
        The class, for instance `GatedRNN`; one that `RANGES` does not list needs ``ranges``.
    count, seed
        How many, and the seed that draws them.
    ranges
        Interval of each parameter that is drawn, over those of `RANGES`.
    fixed
        Parameters that are given instead of drawn.

    Returns
    -------
    tuple of AbstractCell

    Raises
    ------
    InvalidInputError
        For a kind without ranges, or an interval that is none.
    """
    count, seed = check_count("count", count), check_seed(seed)
    drawn = {**RANGES.get(kind, {}), **(ranges or {})}
    if not drawn:
        refuse("kind", kind, f"one of {[each.__name__ for each in RANGES]}", "Pass ranges.")
    for name, interval in drawn.items():
        if len(interval) != 2 or not interval[0] <= interval[1]:
            refuse(f"ranges[{name!r}]", interval, "(low, high)", "Order the ends.")
    free = {name: interval for name, interval in drawn.items() if name not in fixed}
    check_names("fixed", fixed, [*drawn, "reset", "input_gating"])
    rng = np.random.default_rng(seed)
    return tuple(
        kind(**{name: float(rng.uniform(*interval)) for name, interval in free.items()}, **fixed)
        for _ in range(count)
    )
