"""Numbers with their errors, as commands and figures write them."""

from __future__ import annotations

import numpy as np

_EXACT = 5e-5  # smaller relative errors say little beside six digits
_SMALL = 1e-4  # from here down zeros would fill the line


def with_error(value: float, error: float) -> str:
    """Write a number and its error to two digits of the error; without an error, six digits.

    Parameters
    ----------
    value, error
        In the same unit; an error that is not finite, or below 5e-5 of the value, is left out.

    Returns
    -------
    str
        Such as "0.1175 +- 0.0012", or "8.6e-11 +- 5.2e-11" for small numbers.
    """
    if not (np.isfinite(error) and error > _EXACT * abs(value)):
        return f"{value:.6g}"
    last = int(np.floor(np.log10(error))) - 1
    if max(abs(value), error) < _SMALL:
        first = int(np.floor(np.log10(abs(value)))) if value != 0 else last
        return f"{value:.{max(0, first - last)}e} +- {error:.1e}"
    places = max(0, -last)
    return f"{value:.{places}f} +- {error:.{places}f}"
