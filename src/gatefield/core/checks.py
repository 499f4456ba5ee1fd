"""Checks of arguments: each refuses a value by naming it, what was expected, and the remedy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import jax
import numpy as np

from gatefield.core.errors import GatefieldError, refuse
from gatefield.core.results import Status


def concrete(value: Any) -> np.ndarray | None:
    """Return the host value, or None for a traced array, which has none yet."""
    try:
        return np.asarray(value)
    except jax.errors.TracerArrayConversionError:
        return None


def as_parameter(
    name: str, value: Any, *, positive: bool = False, nonnegative: bool = False
) -> Any:
    """Check a real parameter and return it as a float64 host array (traced arrays pass unchecked).

    Parameters
    ----------
    name
        The parameter's name, for the message.
    value
        A scalar, an array, or a traced array.
    positive, nonnegative
        The sign that is required, if any.

    Returns
    -------
    array
        float64 host array, or the traced array itself.

    Raises
    ------
    InvalidInputError
        If the value is not numeric, not finite, or has the wrong sign.
    """
    try:
        host = concrete(value)
        if host is None:
            return value
        if host.dtype.kind in "cbUS":
            refuse(name, value, "a real number or an array of them", "Pass a float.")
        host = host.astype(np.float64)
    except (TypeError, ValueError) as error:
        if isinstance(error, GatefieldError):
            raise
        refuse(name, value, "a real number or an array of them", "Pass a float.")
    if not np.all(np.isfinite(host)):
        remedy = "An infinite gain is a limit: use a large finite one, such as 1e3."
        refuse(name, value, "finite numbers", remedy)
    if positive and not np.all(host > 0):
        refuse(name, value, "a positive number", "It must exceed zero.")
    if nonnegative and not np.all(host >= 0):
        refuse(name, value, "a number that is not negative", "Flip the sign or use zero.")
    return host


def as_number(name: str, value: Any, *, positive: bool = False, nonnegative: bool = False) -> float:
    """Check one real number and return it as a float; arrays and traced values are refused.

    Parameters and errors as in `as_parameter`.
    """
    host = as_parameter(name, value, positive=positive, nonnegative=nonnegative)
    if concrete(host) is None or np.ndim(host) != 0:
        refuse(name, value, "one number", "Loop over the values.")
    return float(host)


def check_count(name: str, value: Any, *, at_least: int = 1) -> int:
    """Return an integer count, refusing fractions and values below the minimum."""
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    whole = whole or (isinstance(value, (float, np.floating)) and float(value).is_integer())
    if not whole or value < at_least:
        refuse(name, value, f"an integer of at least {at_least}", "Pass a whole number.")
    return int(value)


def check_seed(value: Any) -> int:
    """Return a seed: an integer from 0 to 2^63 - 1."""
    seed = check_count("seed", value, at_least=0)
    if seed >= 2**63:
        refuse("seed", value, "an integer below 2^63", "Take it modulo 2^63.")
    return seed


def check_choice(name: str, value: Any, choices: Iterable[str]) -> str:
    """Return the option if it is one of the choices, refuse it with the list otherwise."""
    choices = tuple(choices)
    if value not in choices:
        listed = ", ".join(repr(choice) for choice in choices)
        refuse(name, value, f"one of {listed}", "Check the spelling.")
    return value


def check_names(
    what: str, given: Iterable[str], known: Iterable[str], *, every: bool = False
) -> None:
    """Refuse names that are not known and, with ``every``, names that are missing."""
    given, known = set(given), tuple(known)
    listed = ", ".join(repr(name) for name in known) or "none"
    unknown = sorted(given - set(known))
    if unknown:
        refuse(what, unknown, f"names among {listed}", "Remove or rename them.")
    missing = sorted(set(known) - given)
    if every and missing:
        refuse(what, sorted(given), f"all of {listed}", f"Add {', '.join(missing)}.")


def check_ok(name: str, result: Any) -> None:
    """Refuse a result that its own status calls unusable.

    Raises
    ------
    InvalidInputError
        If the status is not OK.
    """
    if result.status is not Status.OK:
        remedy = "Solve it again, more closely; throw=False let it through."
        refuse(name, f"a result of status {result.status.value!r}", "one that is 'ok'", remedy)
