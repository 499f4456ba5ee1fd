"""Biases and static inputs that are the same all over the plane of gains."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from gatefield.cli.config.fields import NotNegative

_VARIANCES = {"bias_variance": "hr", "input_variance": "hrz"}


class SurroundingsConfig(BaseModel):
    """Options of biases and static inputs; commands that draw critical lines inherit them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    beta_h: FiniteFloat = Field(0.0, description="Bias of the activation function.")
    beta_r: FiniteFloat = Field(0.0, description="Bias of the output gate (positive opens it).")
    bias_variance_h: NotNegative = Field(0.0, description="Variance of random biases beta_h.")
    bias_variance_r: NotNegative = Field(0.0, description="Variance of random biases beta_r.")
    input_variance_h: NotNegative = Field(0.0, description="Variance of a static input to h.")
    input_variance_r: NotNegative = Field(0.0, description="Variance of a static input to r.")
    input_variance_z: NotNegative = Field(
        0.0, description="Variance of a static input to z, which moves marginal lines alone."
    )
    z_offset: FiniteFloat = Field(
        0.0, description="Shift of the update gate's threshold: beta_z/alpha_z + mean I_z."
    )

    def conditions(self, leave_out: str | None = None) -> dict[str, Any]:
        """Return biases and variances as critical lines take them, all but ``z_offset``.

        Parameters
        ----------
        leave_out
            The option that the lines are to vary.
        """
        found: dict[str, Any] = {
            name: {
                drive: getattr(self, f"{name}_{drive}")
                for drive in drives
                if f"{name}_{drive}" != leave_out
            }
            for name, drives in _VARIANCES.items()
        }
        biases = (name for name in ("beta_h", "beta_r") if name != leave_out)
        return found | {name: getattr(self, name) for name in biases}
