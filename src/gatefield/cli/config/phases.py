"""What ``gatefield phases`` can be told."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter
from pydantic import Field, model_validator

from gatefield.cli.config.fields import FileName, Formats, NotNegative, Positive, default_formats
from gatefield.cli.config.surroundings import SurroundingsConfig


@Parameter(name="*")
class PhasesConfig(SurroundingsConfig):
    """Options of ``gatefield phases``; the same names, with underscores, are keys in TOML."""

    g_min: Positive = Field(1.2, description="Smallest activation gain g_h.")
    g_max: Positive = Field(7.0, description="Largest activation gain g_h.")
    g_points: int = Field(200, ge=1, description="Number of values of g_h.")
    alpha_min: NotNegative = Field(0.0, description="Smallest output-gate gain alpha_r.")
    alpha_max: NotNegative = Field(40.0, description="Largest output-gate gain alpha_r.")
    alpha_points: int = Field(200, ge=1, description="Number of values of alpha_r.")
    tau_r: NotNegative = Field(
        1.0, description="Time constant of the output gate; 0 is the paper's limit."
    )
    line_input_variance: Positive = Field(
        0.04, description="Variance of the input for which the input line is drawn."
    )
    point: Annotated[list[str], Parameter(negative=())] = Field(
        default_factory=list,
        description="A pair g,alpha to ask theory and networks about; repeat for more.",
    )
    verify: bool = Field(True, description="Simulate networks to verify the regions.")
    n: int = Field(400, ge=10, description="Units of each simulated network.")
    networks: int = Field(5, ge=1, description="Simulated networks for each point (odd).")
    t_max: Positive = Field(200.0, description="Duration of the simulations.")
    seed: int = Field(0, ge=0, description="Seed of the first network.")
    output: str = Field("results", description="Folder for figure and data.")
    name: FileName = Field("phase_diagram", description="Name of the files.")
    formats: Formats = Field(
        default_factory=default_formats, description="Formats of the figure; repeat for more."
    )

    @model_validator(mode="after")
    def _ranges_are_ordered(self) -> PhasesConfig:
        for name in ("g", "alpha"):
            low, high = getattr(self, f"{name}_min"), getattr(self, f"{name}_max")
            points = getattr(self, f"{name}_points")
            if low > high or (low == high) != (points == 1):
                raise ValueError(
                    f"{name}_min = {low:g}, {name}_max = {high:g}, {name}_points = {points}: "
                    f"expected {name}_min < {name}_max, or one point and equal ends. "
                    "Widen the range."
                )
        if self.networks % 2 == 0:
            raise ValueError(
                f"networks = {self.networks}: expected an odd number, since a majority decides. "
                "Add one."
            )
        self.points()
        return self

    def points(self) -> list[tuple[float, float]]:
        """Return the pairs (g_h, alpha_r) asked for.

        Raises
        ------
        ValueError
            If an entry is not two finite numbers, the first positive, the second not negative.
        """
        pairs = []
        for entry in self.point:
            try:
                g, alpha = (float(part) for part in entry.split(","))
                if not (0 < g < float("inf") and 0 <= alpha < float("inf")):
                    raise ValueError
            except ValueError:
                raise ValueError(
                    f"point = {entry!r}: expected g,alpha with g > 0 and alpha >= 0. "
                    "For instance --point 1.8,12."
                ) from None
            pairs.append((g, alpha))
        return pairs
