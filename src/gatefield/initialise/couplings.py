"""Couplings that initialise a network, drawn by NumPy: three laws of the same variance."""

from __future__ import annotations

import numpy as np

from gatefield.cells import AbstractCell
from gatefield.cells.base import check_cell
from gatefield.core.checks import check_choice, check_count
from gatefield.core.errors import refuse
from gatefield.core.types import Float, HostArray

COUPLINGS = ("normal", "orthogonal", "uniform")


def coupling_matrix(
    law: str, n: int, generator: np.random.Generator
) -> Float[HostArray, "unit unit"]:
    r"""Draw a matrix whose entries have mean zero and variance 1/N.

    .. math:: \langle J_{ij} \rangle = 0, \qquad \langle J_{ij}^2 \rangle = 1/N

    Parameters
    ----------
    law
        "normal"; "uniform" on :math:`\pm\sqrt{3/N}`; or "orthogonal", uniform over the group.
    n
        Number of units N.
    generator
        The source of random numbers.

    Returns
    -------
    array
        (N, N), in double precision.

    Raises
    ------
    InvalidInputError
        For an unknown law, or n < 1.

    Assumptions
    -----------
    Normal and uniform entries are independent: for large N they have one and the same mean-field
    theory, the one that gatefield solves. The entries of an orthogonal matrix are not. Its
    eigenvalues are all of modulus one, so that the edge of a Jacobian is that of the other laws
    where its units are alike, but its spectrum has a hole and the dynamics beyond the edge differ.
    """
    check_choice("couplings", law, COUPLINGS)
    n = check_count("n", n)
    if law == "uniform":
        bound = np.sqrt(3 / n)
        return generator.uniform(-bound, bound, (n, n))
    matrix = generator.standard_normal((n, n))
    if law == "normal":
        return matrix / np.sqrt(n)
    q, r = np.linalg.qr(matrix)
    # Without the signs of the diagonal the law would not be that of the group.
    return q * np.where(np.diagonal(r) < 0, -1.0, 1.0)


def draw_couplings(
    cell: AbstractCell, n: int, generator: np.random.Generator, law: str = "normal"
) -> dict[str, Float[HostArray, "unit unit"]]:
    r"""Draw the couplings of a cell's fields, :math:`J^a` of variance gain_a^2 / N.

    Parameters
    ----------
    cell
        Its gains scale the matrices; a gain of shape (N,) scales the rows.
    n
        Number of units N.
    generator
        The source of random numbers, which serves the fields in their order.
    law
        As in `coupling_matrix`.

    Returns
    -------
    dict
        A matrix (N, N) for each field of the cell.

    Raises
    ------
    InvalidInputError
        For what is no cell, an unknown law, or gains of another shape.
    """
    gains, couplings = check_cell(cell).gains(), {}
    for name in cell.field_names:
        gain = np.asarray(gains[name], float)
        if gain.shape not in ((), (n,)):
            refuse(f"gain of {name}", gain.shape, f"() or ({n},)", "One, or one for each unit.")
        couplings[name] = gain.reshape(-1, 1) * coupling_matrix(law, n, generator)
    return couplings
