"""What ``gatefield design`` can be told."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from cyclopts import Parameter
from pydantic import Field, model_validator

from gatefield.cli.config.cell import DrivenConfig
from gatefield.cli.config.fields import FileName, NotNegative, Positive


@Parameter(name="*")
class DesignConfig(DrivenConfig):
    """Options of ``gatefield design``; the same names, with underscores, are keys in TOML."""

    target: Annotated[list[str], Parameter(negative=())] = Field(
        default_factory=list,
        description="A quantity and its wanted value, as in leading_edge=1; repeat for more: "
        "leading_edge, radius, gate_time, memory_time, lyapunov, dimension, gradient_growth, "
        "variance.",
    )
    free: Annotated[list[str], Parameter(negative=())] = Field(
        default_factory=list,
        description="A free parameter and its bounds, as in gain_n=0.1:5; repeat for more. "
        "spread_z=0:2 frees the standard deviation of random biases.",
    )
    data: str | None = Field(
        None,
        description="A .npy file of input data, (T, features) or (samples, T, features): networks "
        "are driven by inputs of their statistics.",
    )
    weight_variance: Positive | None = Field(
        None, description="With --data: variance of an input weight (1 / features)."
    )
    dt: Positive | None = Field(
        None,
        description="With --data and a flow: how long each step of the data is held, in the "
        "units' time constant.",
    )
    branch: Literal["auto", "stable", "lowest", "highest"] = Field(
        "auto", description="Which fixed points are meant where there are several."
    )
    state: Literal["auto", "fixed point", "moving"] = Field(
        "auto", description="The state in which targets are met."
    )
    horizon: Positive | None = Field(
        None, description="For gradient_growth: how far back gradients are followed."
    )
    quantile: Positive | None = Field(
        None, lt=1, description="For gate_time: part of units below it (0.5)."
    )
    tolerance: Positive | None = Field(
        None, description="Largest relative miss of theory: 1e-3, in moving states 0.02."
    )
    starts: int | None = Field(
        None, ge=1, description="Places from which the search starts (8), if it does not scan."
    )
    samples: int | None = Field(None, ge=2, description="Units of theory's samples.")
    start: NotNegative | None = Field(
        None, description="Moving states: variance of the states from which networks start (1)."
    )
    networks: int = Field(
        4, ge=0, description="Networks that verify each solution; 0 for none, 1 to 3 tell nothing."
    )
    n: int | None = Field(None, ge=2, description="Units of each network (300).")
    seed: int = Field(0, ge=0, description="Seed of samples, starts and networks.")
    strict: bool = Field(
        False,
        description="Exit with 1 if theory misses a target, or networks contradict one or could "
        "not be measured.",
    )
    output: str = Field("results", description="Folder for the JSON file.")
    name: FileName = Field("design", description="Name of the file.")

    @model_validator(mode="after")
    def _options_fit(self) -> DesignConfig:
        self.targets()
        self.bounds()
        for name in ("target", "free"):
            if not getattr(self, name):
                example = "leading_edge=1" if name == "target" else "gain_n=0.1:5"
                raise ValueError(f"{name}: expected at least one. For instance --{name} {example}.")
        if self.data is not None and self.input:
            raise ValueError(f"data = {self.data!r}: expected no --input beside it. Choose.")
        if self.weight_variance is not None and self.data is None:
            raise ValueError("weight_variance: expected --data beside it. Leave it out.")
        if self.dt is not None and self.data is None:
            raise ValueError("dt: expected --data beside it. Leave it out.")
        for name in self.bounds():
            if name in (*self.assignments(), *self.gated()):
                raise ValueError(f"free: {name} has a value already. Leave one of them out.")
        return self

    def targets(self) -> dict[str, float]:
        """Return the targets by quantity.

        Raises
        ------
        ValueError
            If an entry is no quantity=value, or a quantity occurs twice.
        """
        found: dict[str, float] = {}
        for entry in self.target:
            name, _, value = (part.strip() for part in entry.partition("="))
            try:
                if not name or name in found:
                    raise ValueError
                found[name] = float(value)
            except ValueError:
                raise ValueError(
                    f"target = {entry!r}: expected quantity=value, each once. Such as radius=0.9."
                ) from None
        return found

    def bounds(self) -> dict[str, tuple[float, float]]:
        """Return the bounds of the free parameters by name.

        Raises
        ------
        ValueError
            If an entry is no name=low:high, or a name occurs twice.
        """
        found: dict[str, tuple[float, float]] = {}
        for entry in self.free:
            name, _, ends = (part.strip() for part in entry.partition("="))
            try:
                low, high = (float(end) for end in ends.split(":"))
                if not name or name in found or not math.isfinite(high - low):
                    raise ValueError
                found[name] = (low, high)
            except ValueError:
                raise ValueError(
                    f"free = {entry!r}: expected name=low:high, each once. Such as gain_n=0.1:5."
                ) from None
        return found
