"""What ``gatefield lines`` can be told."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter
from pydantic import Field, FiniteFloat, model_validator

from gatefield.cli.config.fields import FileName, Formats, Positive, default_formats
from gatefield.cli.config.surroundings import SurroundingsConfig

Varied = Literal[
    "beta_h",
    "beta_r",
    "bias_variance_h",
    "bias_variance_r",
    "input_variance_h",
    "input_variance_r",
]
_DEFAULTS: dict[str, tuple[float, ...]] = {
    "beta_h": (0.0, 0.05, 0.2, 0.5, 1.0),
    "beta_r": (-1.0, 0.0, 1.0, 2.0),
}
_VARIANCES = (0.0, 0.01, 0.04, 0.16, 0.5)


@Parameter(name="*")
class LinesConfig(SurroundingsConfig):
    """Options of ``gatefield lines``; the same names, with underscores, are keys in TOML."""

    vary: Varied = Field("beta_h", description="What differs from line to line.")
    value: Annotated[list[FiniteFloat], Parameter(negative=())] = Field(
        default_factory=list, description="A value of it; repeat for more. By default a few."
    )
    alpha_max: Positive = Field(15.0, description="Largest output-gate gain alpha_r.")
    alpha_points: int = Field(81, ge=2, description="Number of values of alpha_r.")
    marginal: bool = Field(True, description="Draw the lines of marginal stability, dashed.")
    fold: bool = Field(False, description="Draw where further fixed points appear, dotted.")
    point: Annotated[list[str], Parameter(negative=())] = Field(
        default_factory=list,
        description="A pair g,alpha at which networks of every value are simulated; repeat for "
        "more. Marked in the figure by a circle where all that can be judged do what theory says, "
        "else by a cross.",
    )
    n: int = Field(400, ge=10, description="Units of each network.")
    networks: int = Field(5, ge=1, description="Networks at each point and value (odd).")
    t_max: float = Field(
        200.0,
        ge=2,
        description="Duration of the simulations. Fixed points that decay too slowly for it are "
        "not judged.",
    )
    seed: int = Field(0, ge=0, description="Seed of the first network.")
    strict: bool = Field(
        False, description="Exit with 1 if networks disagree, or nothing could be judged."
    )
    output: str = Field("results", description="Folder for figure and data.")
    name: FileName = Field("lines", description="Name of the files.")
    formats: Formats = Field(
        default_factory=default_formats, description="Formats of the figure; repeat for more."
    )

    @model_validator(mode="after")
    def _values_fit(self) -> LinesConfig:
        if "variance" in self.vary and min(self.values(), default=0.0) < 0:
            raise ValueError(
                f"value = {min(self.values()):g}: expected variances that are not negative. "
                "Flip the sign or use zero."
            )
        if self.vary in self.model_fields_set:
            raise ValueError(
                f"{self.vary}: expected no value of its own, since it is what is varied. "
                f"Use --value."
            )
        if self.networks % 2 == 0:
            raise ValueError(
                f"networks = {self.networks}: expected an odd number, since a majority decides. "
                "Add one."
            )
        if self.strict and not self.point:
            raise ValueError("strict: expected at least one point. Add --point g,alpha.")
        self.points()
        return self

    def values(self) -> tuple[float, ...]:
        """Return the values asked for, or the default ones."""
        return tuple(self.value) or _DEFAULTS.get(self.vary, _VARIANCES)

    def points(self) -> list[tuple[float, float]]:
        """Return the pairs (g_h, alpha_r) asked for.

        Raises
        ------
        ValueError
            If an entry is not two finite numbers, the first positive, the second not negative.
        """
        return [gain_pair(entry) for entry in self.point]


def gain_pair(entry: str) -> tuple[float, float]:
    """Return "g,alpha" as two numbers, or raise ValueError."""
    try:
        g, alpha = (float(part) for part in entry.split(","))
        if not (0 < g < float("inf") and 0 <= alpha < float("inf")):
            raise ValueError
    except ValueError:
        raise ValueError(
            f"point = {entry!r}: expected g,alpha with g > 0 and alpha >= 0. "
            "For instance --point 1.8,12."
        ) from None
    return g, alpha
