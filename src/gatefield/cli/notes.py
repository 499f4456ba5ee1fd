"""Warnings of the package as notes on the console."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator

from rich.console import Console

from gatefield.core.errors import OutsideDomainWarning


@contextlib.contextmanager
def warnings_as_notes(console: Console) -> Iterator[None]:
    """Print every `OutsideDomainWarning` of the block once, as a note; leave others as they are."""
    caught: list[warnings.WarningMessage] = []
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", OutsideDomainWarning)
            yield
    finally:
        # A block that fails is best understood with what it warned of.
        notes = [one for one in caught if issubclass(one.category, OutsideDomainWarning)]
        for text in dict.fromkeys(str(one.message) for one in notes):
            console.print(f"Note: {text}", highlight=False, soft_wrap=True, markup=False)
        for one in caught:
            if one not in notes:
                warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
