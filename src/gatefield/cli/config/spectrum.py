"""What ``gatefield spectrum`` can be told."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from gatefield.cli.config.fields import FileName, Formats, NotNegative, Positive, default_formats

GATED = ("g_h", "alpha_z", "alpha_r", "beta_h", "beta_z", "beta_r", "tau_z", "tau_r")
_MADE_BY_STATE = ("cell", "set", *GATED, "n", "networks", "t_max", "dt", "seed")


@Parameter(name="*")
class SpectrumConfig(BaseModel):
    """Options of ``gatefield spectrum``; the same names, with underscores, are keys in TOML."""

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
    n: int = Field(1000, ge=2, description="Units of each network.")
    networks: int = Field(8, ge=1, description="Networks; the figure shows the first.")
    t_max: NotNegative = Field(
        100.0,
        description="Duration of the simulation, steps for maps; 0 takes the zero state.",
    )
    dt: Positive | None = Field(None, description="Time step of a flow; 0.05 by default.")
    seed: int = Field(0, ge=0, description="Seed of the first network.")
    couplings: Literal["own", "fresh"] = Field(
        "own",
        description="Diagonalise with the network's own couplings, or with new ones, of which the "
        "state knows nothing, as theory assumes.",
    )
    state: str | None = Field(
        None, description="File with states to take instead of simulating, such as spectrum.nc."
    )
    near: Positive = Field(
        0.05, description="Count eigenvalues this close to 0, where modes are slow (maps: to 1)."
    )
    density: bool = Field(True, description="Compute the density of eigenvalues on a grid.")
    density_size: int = Field(80, ge=4, le=1000, description="Cells of the grid along each side.")
    strict: bool = Field(False, description="Exit with 1 if theory and networks disagree.")
    output: str = Field("results", description="Folder for figure and data.")
    name: FileName = Field("spectrum", description="Name of the files.")
    formats: Formats = Field(
        default_factory=default_formats, description="Formats of the figure; repeat for more."
    )

    @model_validator(mode="after")
    def _options_fit(self) -> SpectrumConfig:
        if self.state is not None:
            doubled = [name for name in _MADE_BY_STATE if name in self.model_fields_set]
            if doubled:
                raise ValueError(
                    f"state = {self.state!r} beside {', '.join(doubled)}: expected only one, since "
                    "the file says it. Remove them."
                )
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
        found = dict(self.gated())
        given = {}
        for entry in self.set:
            name, equals, value = (part.strip() for part in entry.partition("="))
            if not (name and equals and value):
                raise ValueError(f"set = {entry!r}: expected name=value. For instance g=1.5.")
            if name in given or name in found:
                raise ValueError(f"set = {entry!r}: expected {name} once. Remove one.")
            given[name] = value
        return given
