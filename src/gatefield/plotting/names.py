"""Names of parameters and quantities as mathematics, and units of axes in words."""

from __future__ import annotations

_GREEK = ("alpha", "beta", "eta", "phi", "sigma", "tau")


def symbol(name: str) -> str:
    r"""Return a name such as "sigma_z" or "alpha_r" as matplotlib's mathematics has it."""
    head, _, tail = name.partition("_")
    letter = rf"\{head}" if head in _GREEK else head if len(head) == 1 else rf"\mathrm{{{head}}}"
    # A bare underscore would start a subscript of the subscript.
    below = tail.replace("_", r"\_")
    return f"{letter}_{{{below}}}" if tail else letter


def time_unit(is_map: bool) -> str:
    """Return what time is counted in: steps of a map, the units' time constant of a flow."""
    return "step" if is_map else "time constant"
