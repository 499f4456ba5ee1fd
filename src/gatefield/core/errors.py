"""Errors that name the value, what was expected and the remedy."""

from __future__ import annotations

from typing import NoReturn


class GatefieldError(Exception):
    """Base of every error that gatefield raises on purpose."""


class InvalidInputError(GatefieldError, ValueError):
    """An argument that cannot be used: the message says which, what was expected and the remedy."""


class NumericalFailureError(GatefieldError, RuntimeError):
    """A computation that ended without a usable result (raised where ``throw=True``)."""


class OutsideDomainWarning(UserWarning):
    """A formula is used where it is known not to hold: the message says how far outside."""


def refuse(name: str, value: object, expected: str, remedy: str) -> NoReturn:
    """Raise `InvalidInputError` with the three parts that every message has.

    Parameters
    ----------
    name
        The argument, as the caller wrote it.
    value
        What was given.
    expected
        What would have been accepted, as a phrase that follows "expected".
    remedy
        What to do, as a sentence.

    Raises
    ------
    InvalidInputError
        Always.
    """
    shown = repr(value)
    shown = shown if len(shown) <= 120 else shown[:117] + "..."
    raise InvalidInputError(f"{name} = {shown}: expected {expected}. {remedy}")
