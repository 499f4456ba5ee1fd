"""What ``gatefield gradients`` can be told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from cyclopts import Parameter
from pydantic import Field, model_validator

from gatefield.cli.config.cell import DrivenConfig
from gatefield.cli.config.correlations import Method
from gatefield.cli.config.fields import (
    FEWEST,
    FileName,
    Formats,
    NotNegative,
    Positive,
    ascending_numbers,
    default_formats,
)
from gatefield.cli.config.lyapunov import Sweep

Plane = Literal["g_h:alpha_z", "g_h:alpha_r", "g_h:beta_z", "beta_h:beta_z"]
"""`gatefield.phases.GRADIENT_PLANES`, which would import JAX before ``--help`` can answer."""

_MAP_ONLY = ("plane", "x", "y", "points", "band", "checkpoint")
_POINT_ONLY = ("networks", "n", "burn_in", "strict", "method", "input")


@Parameter(name="*")
class GradientsConfig(DrivenConfig):
    """Options of ``gatefield gradients``; the same names, with underscores, are keys in TOML."""

    horizon: Positive = Field(
        30.0, description="How far back gradients are followed, steps for maps."
    )
    readout: Annotated[list[str], Parameter(negative=())] = Field(
        default_factory=list,
        description="Variance of the readout by component of the state, as in h=1; repeat for "
        "more. By default 1 for the first.",
    )
    method: Method = Field(
        "auto",
        description="How the mean field is solved: auto takes the lag equations where they are "
        "exact (alpha_z = 0, vanilla), and samples units otherwise.",
    )
    start: NotNegative = Field(
        1.0, description="Variance of the states from which theory and networks start."
    )
    samples: int | None = Field(
        None,
        ge=2,
        description="Units of each batch where states are sampled: 1000, at each point of a plane "
        "300.",
    )
    batches: int | None = Field(
        None, ge=2, description="Batches, whose scatter is theory's error: 8, or 4."
    )
    dt: Positive | None = Field(None, description="Largest step of a flow back in time.")
    networks: int = Field(
        0, ge=0, description="Networks to differentiate beside theory, three or more."
    )
    n: int = Field(500, ge=2, description="Units of each network.")
    burn_in: Positive = Field(100.0, description="Duration of a network's run before the horizon.")
    plane: Plane | None = Field(
        None,
        description="A map over two parameters of the gated RNN, over a range that shows all: "
        "x parameter, colon, y parameter.",
    )
    x: str | None = Field(
        None, description="A map over any two parameters: g_h=1:4:7 takes seven values along x."
    )
    y: str | None = Field(None, description="The other parameter of the map, and its values.")
    points: int = Field(9, ge=2, description="With --plane: values of each parameter.")
    band: Positive = Field(
        2.0, description="Maps: change of ln |a|^2 over the horizon that still counts as kept."
    )
    checkpoint: str | None = Field(
        None,
        description="Maps: a file that keeps finished points; the same command, also with other "
        "values, goes on from there.",
    )
    seed: int = Field(0, ge=0, description="Seed of theory's samples and of the first network.")
    strict: bool = Field(
        False, description="Exit with 1 if theory and networks disagree, or cannot be compared."
    )
    output: str = Field("results", description="Folder for figure and data.")
    name: FileName = Field("gradients", description="Name of the files.")
    formats: Formats = Field(
        default_factory=default_formats, description="Formats of the figure; repeat for more."
    )

    @model_validator(mode="after")
    def _options_fit(self) -> GradientsConfig:
        self.readouts()
        given = self.model_fields_set
        for name in _POINT_ONLY if self.is_map else _MAP_ONLY:
            if name in given and getattr(self, name) not in (None, []):
                expected = "no map beside it" if self.is_map else "--plane, or --x and --y"
                remedy = "Leave one of them out." if self.is_map else "Add them."
                raise ValueError(f"{name} = {getattr(self, name)!r}: expected {expected}. {remedy}")
        if self.plane is not None and (self.x or self.y):
            raise ValueError(f"plane = {self.plane!r}: expected no --x or --y beside it. Choose.")
        if "points" in given and self.plane is None:
            raise ValueError(f"points = {self.points}: expected --plane. --x has its own number.")
        if self.plane is not None and self.cell not in ("gated", "gated-rnn"):
            raise ValueError(
                f"plane = {self.plane!r}: expected a gated RNN. Use --x and --y for {self.cell}."
            )
        if self.is_map and self.plane is None:
            self._axes_fit()
        if self.plane is not None:
            self._told_once(self.plane.split(":"))
        if 0 < self.networks < FEWEST:
            raise ValueError(
                f"networks = {self.networks}: expected none or at least {FEWEST}, since their "
                "scatter is the error. Raise it."
            )
        if self.strict and not self.networks:
            raise ValueError(f"strict: expected at least {FEWEST} networks. Give --networks.")
        return self

    def _axes_fit(self) -> None:
        for name in ("x", "y"):
            if getattr(self, name) is None:
                raise ValueError(
                    f"{name}: expected both --x and --y. For instance --{name} g_h=1:4:7."
                )
        names = [self.axis(name).name for name in ("x", "y")]
        if names[0] == names[1]:
            raise ValueError(f"y = {self.y!r}: expected another parameter than x. Change one.")
        self._told_once(names)

    def _told_once(self, names: Sequence[str]) -> None:
        for name in names:
            if name in (*self.assignments(), *self.gated()):
                raise ValueError(f"{name}: expected no value of its own, since the map varies it.")

    @property
    def is_map(self) -> bool:
        """Whether a map over two parameters was asked for."""
        return any(each is not None for each in (self.plane, self.x, self.y))

    def axis(self, which: Literal["x", "y"]) -> Sweep:
        """Return a parameter of the map, and its values.

        Raises
        ------
        ValueError
            If the text is no name=from:to:number or name=value,value, or values do not ascend.
        """
        text = getattr(self, which) or ""
        name, _, numbers = (part.strip() for part in text.partition("="))
        try:
            values = ascending_numbers(numbers)
            if not (name and len(values) > 1):
                raise ValueError
        except ValueError:
            raise ValueError(
                f"{which} = {text!r}: expected name=from:to:number or name=value,value,..., two or "
                "more ascending values. For instance g_h=1:4:7."
            ) from None
        return Sweep(name, values)

    def readouts(self) -> dict[str, float] | None:
        """Return the variance of the readout by component, None for the default.

        Raises
        ------
        ValueError
            If an entry is no component=variance, or a component occurs twice.
        """
        found: dict[str, float] = {}
        for entry in self.readout:
            name, _, value = (part.strip() for part in entry.partition("="))
            try:
                if not name or name in found:
                    raise ValueError
                found[name] = float(value)
            except ValueError:
                raise ValueError(
                    f"readout = {entry!r}: expected component=variance, each once. Such as h=1."
                ) from None
        return found or None
