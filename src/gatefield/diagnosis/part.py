"""What the parts of a diagnosis share."""

from __future__ import annotations

from gatefield.core.results import AbstractResult


class MapPart(AbstractResult):
    """Base of the parts: times count steps."""

    @property
    def is_map(self) -> bool:
        """Whether times count steps: they do."""
        return True
