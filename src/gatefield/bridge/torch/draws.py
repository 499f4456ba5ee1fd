"""Random numbers for PyTorch's modules: NumPy's, seeded by a generator of PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np

from gatefield.core.errors import refuse


def numpy_generator(generator: Any, torch: Any) -> np.random.Generator:
    """Return NumPy's generator that two words drawn from PyTorch's seed.

    A key of JAX of the same two words seeds the same one: same words, same weights there.

    Parameters
    ----------
    generator
        A torch.Generator on any device, or None for PyTorch's own on the CPU.
    torch
        The library.

    Raises
    ------
    InvalidInputError
        For anything else.
    """
    if generator is not None and not isinstance(generator, torch.Generator):
        remedy = "Pass torch.Generator().manual_seed(0), or None for PyTorch's own."
        refuse("generator", generator, "a torch.Generator", remedy)
    device = "cpu" if generator is None else generator.device
    words = torch.randint(2**32, (2,), generator=generator, device=device)
    return np.random.default_rng(words.tolist())
