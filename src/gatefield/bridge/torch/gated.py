"""The paper's gated RNN as a trainable module of PyTorch (which this file alone imports)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from gatefield.cells import GatedRNN as GatedCell
from gatefield.core.checks import as_number, check_choice, check_count
from gatefield.core.errors import refuse
from gatefield.networks import Network

State = tuple[Tensor, Tensor, Tensor]


class GatedRNN(nn.Module):
    r"""The gated RNN of continuous time, advanced by Euler's method, one step for each input.

    .. math::

        h' = h + \Delta t\,[\sigma_z(z)\,(-h + J^h[\phi(h)\sigma_r(r)]) + W^h x], \quad
        k' = k + \Delta t\,(-k + J^k\phi(h) + W^k x) / \tau_k \quad (k = z, r)

    with :math:`\phi(x) = \tanh(g_h x + \beta_h)` and
    :math:`\sigma_k(x) = 1/(1 + e^{-\alpha_k x - \beta_k})`. This is the step of
    ``gf.simulate(module.network(), ..., method="euler")``.

    Parameters
    ----------
    input_size, hidden_size
        Number of features, and of units N.
    dt
        The step, in units of the unit's own time constant.
    tau_z, tau_r
        Time constants of the gates, in the same unit; buffers, not trained.
    input_gating
        "none": the input to h is integrated; "update": it stands inside the update gate's bracket.
    batch_first
        Whether sequences are (batch, time, features) rather than (time, batch, features).
    device, dtype
        As of PyTorch's modules.

    Attributes
    ----------
    J_h, J_z, J_r
        Couplings (N, N), at first of variance 1/N.
    W_h, W_z, W_r
        Input weights (N, features), at first uniform on :math:`\pm 1/\sqrt N`.
    g_h, alpha_z, alpha_r
        Gains, numbers; at first 2 (where the zero state loses its stability), 1 and 1.
    beta_h, beta_z, beta_r
        Biases (N,), at first zero.

    Raises
    ------
    InvalidInputError
        For sizes, steps or options that do not fit.

    Assumptions
    -----------
    Euler's method with dt below the shortest of 1, tau_z and tau_r; larger steps are refused.

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Eqs. 1-2.
    """

    tau_z: Tensor
    tau_r: Tensor

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        dt: float = 0.1,
        tau_z: float = 1.0,
        tau_r: float = 1.0,
        input_gating: str = "none",
        batch_first: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ):
        super().__init__()
        self.input_size = check_count("input_size", input_size)
        self.hidden_size = check_count("hidden_size", hidden_size)
        self.dt = as_number("dt", dt, positive=True)
        taus = [
            as_number("tau_z", tau_z, positive=True),
            as_number("tau_r", tau_r, positive=True),
        ]
        if self.dt > min(1.0, *taus):
            refuse("dt", dt, f"at most {min(1.0, *taus):g}", "Euler's method needs a shorter step.")
        self.input_gating = check_choice("input_gating", input_gating, ("none", "update"))
        self.batch_first = bool(batch_first)
        kind = {"device": device, "dtype": dtype}
        n, features = self.hidden_size, self.input_size
        self.J_h, self.J_z, self.J_r = (nn.Parameter(torch.empty(n, n, **kind)) for _ in "hzr")
        self.W_h, self.W_z, self.W_r = (
            nn.Parameter(torch.empty(n, features, **kind)) for _ in "hzr"
        )
        self.g_h, self.alpha_z, self.alpha_r = (
            nn.Parameter(torch.empty((), **kind)) for _ in "hzr"
        )
        self.beta_h, self.beta_z, self.beta_r = (
            nn.Parameter(torch.empty(n, **kind)) for _ in "hzr"
        )
        self.register_buffer("tau_z", torch.full((), taus[0], **kind))
        self.register_buffer("tau_r", torch.full((), taus[1], **kind))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights anew by PyTorch's own generator; taus stay."""
        n = self.hidden_size
        with torch.no_grad():
            for matrix in (self.J_h, self.J_z, self.J_r):
                matrix.normal_(0.0, 1 / math.sqrt(n))
            for matrix in (self.W_h, self.W_z, self.W_r):
                matrix.uniform_(-1 / math.sqrt(n), 1 / math.sqrt(n))
            for gain, value in ((self.g_h, 2.0), (self.alpha_z, 1.0), (self.alpha_r, 1.0)):
                gain.fill_(value)
            for bias in (self.beta_h, self.beta_z, self.beta_r):
                bias.zero_()

    def forward(self, inputs: Tensor, initial: State | None = None) -> tuple[Tensor, State]:
        """Run along sequences.

        Parameters
        ----------
        inputs
            (time, batch, features), (batch, time, features) with ``batch_first``, or one sequence
            (time, features).
        initial
            h, z and r, each (batch, N), or (N,) for one sequence; by default zeros.

        Returns
        -------
        outputs, state
            h after each input, shaped as the inputs with N features; and the last (h, z, r).
        """
        if inputs.dim() not in (2, 3) or inputs.shape[-1] != self.input_size:
            expected = f"(..., {self.input_size}) with two or three axes"
            refuse("inputs.shape", tuple(inputs.shape), expected, "Put the features last.")
        single = inputs.dim() == 2
        by_time = 1 if self.batch_first and not single else 0
        x = inputs.unsqueeze(1) if single else inputs.transpose(0, by_time)
        state = self._state(initial, x, single)
        # All inputs in one product; what each distinct output sends in another.
        received = x @ torch.cat((self.W_h, self.W_z, self.W_r)).mT
        to_h, to_gates = self.J_h.mT, torch.cat((self.J_z, self.J_r)).mT
        rates = (self.dt, self.dt / self.tau_z, self.dt / self.tau_r)
        hs = []
        for drive in received.unbind(0):
            state = self._step(state, drive, to_h, to_gates, rates)
            hs.append(state[0])
        n = self.hidden_size
        outputs = torch.stack(hs) if hs else x.new_zeros(0, x.shape[1], n)
        if single:
            return outputs.squeeze(1), (state[0][0], state[1][0], state[2][0])
        return outputs.transpose(0, by_time), state

    def _state(self, initial: State | None, x: Tensor, single: bool) -> State:
        batch, n = x.shape[1], self.hidden_size
        if initial is None:
            zero = x.new_zeros(batch, n)
            return (zero, zero, zero)
        shape = (n,) if single else (batch, n)
        shapes = [tuple(part.shape) for part in initial]
        if shapes != [shape] * 3:
            refuse("initial", shapes, f"h, z and r, each {shape}", "Pass what a run returned.")
        h, z, r = (part.unsqueeze(0) if single else part for part in initial)
        return (h, z, r)

    def _step(self, state: State, drive: Tensor, to_h: Tensor, to_gates: Tensor, rates) -> State:
        h, z, r = state
        n = self.hidden_size
        drive_h, drive_gates = drive[..., :n], drive[..., n:]
        active = torch.tanh(self.g_h * h + self.beta_h)
        rate = torch.sigmoid(self.alpha_z * z + self.beta_z)
        opened = torch.sigmoid(self.alpha_r * r + self.beta_r)
        relaxation = (active * opened) @ to_h - h
        if self.input_gating == "update":
            change = rate * (relaxation + drive_h)
        else:
            change = rate * relaxation + drive_h
        fields_z, fields_r = (active @ to_gates + drive_gates).split(n, dim=-1)
        by_h, by_z, by_r = rates
        return (h + by_h * change, z + by_z * (fields_z - z), r + by_r * (fields_r - r))

    def cell(self) -> GatedCell:
        """Return the per-unit rule with the module's present parameters."""
        names = ("g_h", "alpha_z", "alpha_r", "beta_h", "beta_z", "beta_r", "tau_z", "tau_r")
        own = {name: getattr(self, name).detach().cpu().double().numpy() for name in names}
        return GatedCell(**own, input_gating=self.input_gating)

    def network(self, *, dtype: str | None = None) -> Network:
        """Return the network of the same weights, copied: training on does not change it.

        Parameters
        ----------
        dtype
            "float64" or "float32"; by default the module's, "float32" for half precision.

        Returns
        -------
        Network
            A flow: time counts in units of the unit's time constant, ``dt`` of it for each input.

        Raises
        ------
        InvalidInputError
            For weights that are not finite, or gains that training has made negative.
        """
        couplings = {
            field: getattr(self, f"J_{field}").detach().cpu().double().numpy() for field in "hzr"
        }
        double = self.J_h.dtype == torch.float64
        own = dtype if dtype is not None else "float64" if double else "float32"
        return Network.of_couplings(self.cell(), couplings, dtype=own)

    def extra_repr(self) -> str:
        """Show sizes and the step."""
        batch = ", batch_first=True" if self.batch_first else ""
        return f"{self.input_size}, {self.hidden_size}, dt={self.dt:g}{batch}"
