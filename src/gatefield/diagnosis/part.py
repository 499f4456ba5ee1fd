"""What a diagnosis and its parts share."""

from __future__ import annotations

from gatefield.core.results import AbstractResult


class MapPart(AbstractResult):
    """Base of a diagnosis, of its layers and of their parts: times count steps."""

    @property
    def is_map(self) -> bool:
        """Whether times count steps: they do."""
        return True
