"""How commands are told which cell, and what drives it."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from cyclopts import Parameter
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from gatefield.cli.config.fields import NotNegative, Positive

GATED = ("g_h", "alpha_z", "alpha_r", "beta_h", "beta_z", "beta_r", "tau_z", "tau_r")


class Drive(NamedTuple):
    """A Gaussian input to one drive: its variance, its mean, its correlation time (inf: static)."""

    name: str
    variance: float
    mean: float
    time: float


class CellConfig(BaseModel):
    """Options that name a cell and its parameters; commands inherit them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cell: str = Field("gated", description="gated, vanilla, gru, lstm, or any registered name.")
    set: Annotated[list[str], Parameter(negative=())] = Field(
        default_factory=list,
        description="A parameter of the cell, name=value; repeat for more.",
    )
    g_h: NotNegative | None = Field(None, description="Gated RNN: activation gain (3).")
    alpha_z: NotNegative | None = Field(None, description="Gated RNN: gain of the update gate.")
    alpha_r: NotNegative | None = Field(None, description="Gated RNN: gain of the output gate.")
    beta_h: FiniteFloat | None = Field(None, description="Gated RNN: bias of the activation.")
    beta_z: FiniteFloat | None = Field(
        None, description="Gated RNN: bias of the update gate (positive opens it)."
    )
    beta_r: FiniteFloat | None = Field(None, description="Gated RNN: bias of the output gate.")
    tau_z: Positive | None = Field(None, description="Gated RNN: time constant of z.")
    tau_r: Positive | None = Field(None, description="Gated RNN: time constant of r.")

    @model_validator(mode="after")
    def _cell_is_told_once(self) -> CellConfig:
        if self.cell not in ("gated", "gated-rnn") and self.gated():
            names = ", ".join(self.gated())
            raise ValueError(
                f"cell = {self.cell!r} beside {names}: expected a gated RNN. "
                "Name the parameters of other cells by --set."
            )
        self.assignments()
        return self

    def gated(self) -> dict[str, float]:
        """Return the gated RNN's parameters that were given."""
        return {name: getattr(self, name) for name in GATED if getattr(self, name) is not None}

    def assignments(self) -> dict[str, str]:
        """Return the parameters given by --set, as text.

        Raises
        ------
        ValueError
            If an entry is no name=value, or a name occurs twice.
        """
        given: dict[str, str] = {}
        for entry in self.set:
            name, equals, value = (part.strip() for part in entry.partition("="))
            if not (name and equals and value):
                raise ValueError(f"set = {entry!r}: expected name=value. For instance g=1.5.")
            if name in given or name in self.gated():
                raise ValueError(f"set = {entry!r}: expected {name} once. Remove one.")
            given[name] = value
        return given


class DrivenConfig(CellConfig):
    """Options that name a cell, its parameters and its inputs; commands inherit them."""

    input: Annotated[list[str], Parameter(negative=())] = Field(
        default_factory=list,
        description="A Gaussian input, drive=variance, as in h=0.04: every unit gets its own "
        "constant. h=0.04,time=5 lets it fluctuate with that correlation time, h=0.04,mean=0.1 "
        "adds a mean; repeat for more drives.",
    )

    @model_validator(mode="after")
    def _inputs_can_be_read(self) -> DrivenConfig:
        self.drives()
        return self

    def drives(self) -> tuple[Drive, ...]:
        """Return the inputs.

        Raises
        ------
        ValueError
            If an entry is no drive=variance with mean and time, or a drive occurs twice.
        """
        found: dict[str, Drive] = {}
        for entry in self.input:
            one = _drive(entry)
            if one.name in found:
                raise ValueError(f"input = {entry!r}: expected {one.name} once. Remove one.")
            found[one.name] = one
        return tuple(found.values())


def _drive(entry: str) -> Drive:
    first, *rest = entry.split(",")
    name, equals, variance = (part.strip() for part in first.partition("="))
    values = {"variance": variance, "mean": "0", "time": "inf"}
    told = set()
    for part in rest:
        key, _, value = (each.strip() for each in part.partition("="))
        if key in told:
            raise ValueError(f"input = {entry!r}: expected {key} once. Remove one.")
        if key not in ("mean", "time"):
            equals = ""
        values[key] = value
        told.add(key)
    try:
        numbers = {key: float(value) for key, value in values.items()}
    except ValueError:
        equals = ""
    if not (name and equals):
        raise ValueError(
            f"input = {entry!r}: expected drive=variance, with mean= and time= after commas. "
            "For instance h=0.04,time=5."
        )
    return Drive(name, **numbers)
