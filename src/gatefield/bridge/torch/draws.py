"""Random matrices by PyTorch's generators, in double precision whatever the module's own."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gatefield.core.checks import check_choice
from gatefield.core.errors import refuse
from gatefield.initialise.couplings import COUPLINGS


def check_generator(generator: Any, torch: Any) -> Any:
    """Return a torch.Generator or None, refuse anything else."""
    if generator is not None and not isinstance(generator, torch.Generator):
        remedy = "Pass torch.Generator().manual_seed(0), or None for PyTorch's own."
        refuse("generator", generator, "a torch.Generator", remedy)
    return generator


def coupling(law: str, n: int, torch: Any, generator: Any) -> Any:
    r"""Return an (n, n) matrix whose entries have variance 1/n, in double precision.

    Parameters
    ----------
    law
        "normal", "uniform" on :math:`\pm\sqrt{3/n}`, or "orthogonal", uniform over the group.
    n
        Number of units.
    torch, generator
        The library and its source of random numbers, on whose device it draws.
    """
    check_choice("couplings", law, COUPLINGS)
    if law == "uniform":
        return uniform((n, n), math.sqrt(3 / n), torch, generator)
    matrix = normal((n, n), torch, generator)
    if law == "normal":
        return matrix / math.sqrt(n)
    # By NumPy, so that the same numbers give the same matrix on every device.
    q, r = np.linalg.qr(matrix.cpu().numpy())
    # Without the signs of the diagonal the law would not be that of the group.
    return torch.tensor(q * np.where(np.diagonal(r) < 0, -1.0, 1.0), device=matrix.device)


def uniform(shape: tuple[int, ...], bound: float, torch: Any, generator: Any) -> Any:
    """Return numbers that are uniform on (-bound, bound), in double precision."""
    kind = {"dtype": torch.float64, "device": _device(generator)}
    return (2 * torch.rand(shape, generator=generator, **kind) - 1) * bound


def seed_from(torch: Any, generator: Any) -> int:
    """Return a seed drawn from the generator, for what NumPy draws."""
    device = _device(generator)
    return int(torch.randint(2**31 - 1, (1,), generator=generator, device=device).item())


def normal(shape: tuple[int, ...], torch: Any, generator: Any) -> Any:
    """Return standard normal numbers, in double precision."""
    kind = {"dtype": torch.float64, "device": _device(generator)}
    return torch.randn(shape, generator=generator, **kind)


def _device(generator: Any) -> Any:
    return "cpu" if generator is None else generator.device
