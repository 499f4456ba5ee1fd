"""Moving states of the gated form: where Newton's method starts, and on which half line."""

from __future__ import annotations

import numpy as np

from gatefield.core.types import Float, HostArray
from gatefield.theory.dmft.gated_form import GatedForm
from gatefield.theory.dmft.lag_equations import (
    Frame,
    LagSolution,
    grid_of,
    horizon_after,
    horizon_of,
    is_covariance,
    newton,
    relax,
    scale_of,
    strength_at,
    tail_rate,
    values_at,
)
from gatefield.theory.dmft.potential import (
    PotentialSolution,
    core_time,
    decay_rate,
    moving_states,
    orbit,
)

LAGS = 64
_FINER = 96  # lags of the half line that says how good those are
_ACCEPTED = 1e-8  # residual, relative to C(0)
_SILENT = 1e-12  # C_h(0): less, without input to h, is on its way to zero
_LEAST = 1e-20  # C_h(0) whose shape is not rounding
_MOVES = 1e-6  # smallest fall of a covariance, relative to its value at lag 0
_LONGEST = 1e12  # core of C_h, in time constants
_ROUNDING = 1e-12  # a fall that says nothing
_LADDER = (0.1, 0.25, 0.5, 0.75, 1.0)  # parts of tau_z and tau_r, near enough for Newton's method
_LARGEST_TRUNCATION = 1e-4  # that counts as converged: below what any network can show
_FIRST_HORIZON = 60.0  # times the slowest relaxation: twice what decays to rounding
_LEAST_RATE = 1e-3  # of h, at which relaxation starts; where h is slower, the half line grows
_FRAMES = 4  # half lines tried, each from what was found on the one before
_STEPS = 40  # of C_h(0), from one moving state to the one it pairs with


def lag_solutions(form: GatedForm, start: float, *, paired: bool) -> tuple[LagSolution, ...]:
    """Return every moving state that was found, ascending in C_h(0).

    Parameters
    ----------
    form
        The equations.
    start
        C_h(0) from which relaxation starts where the potential method offers no state: for inputs
        that vary in time, and where only gates of finite speed allow chaos.
    paired
        Whether a fixed point is stable: moving states then come in pairs, the smaller of which
        divides the starts that lead to chaos from those that do not.

    Returns
    -------
    tuple of LagSolution
    """
    found = []
    if form.static_input:
        for each in moving_states(form):
            solution = _from_potential(form, each)
            if solution is not None:
                found.append(solution)
    if not found:
        solution = _from_relaxation(form, start)
        if solution is not None:
            found.append(solution)
    distinct = _distinct(found)
    if paired and len(distinct) == 1 and distinct[0].converged:
        other = _partner(form, distinct[0])
        if other is not None:
            return _distinct([*distinct, other])
    return distinct


def follow(form: GatedForm, nearby: LagSolution) -> LagSolution | None:
    """Return the moving state of a form from that of a similar one (continuation)."""
    return _settled(form, nearby.frame, nearby.C)


def _from_potential(form: GatedForm, state: PotentialSolution) -> LagSolution | None:
    core = core_time(form, state)
    if not core < _LONGEST:
        return None  # nothing moves but rounding
    frame = Frame(core, horizon_after(form, decay_rate(form, state)), LAGS)
    lags = grid_of(frame).lags
    C_h = orbit(form, state, lags)
    C_phi = form.phi(C_h, float(C_h[0]))[0]
    V = form.input(lags)
    start = np.stack([C_h, C_phi + V[1], C_phi + V[2]])
    direct = _settled(form, frame, start)
    if direct is not None:
        return direct
    # Gates of finite speed change the state too much for one step: slow them down in turn.
    C, now = start, None
    for part in _LADDER:
        tau = (1.0, part * form.tau[1], part * form.tau[2])
        now = _settled(form._replace(tau=tau), frame, C)
        if now is None:
            return None
        frame, C = now.frame, now.C
    return now


def _from_relaxation(form: GatedForm, start: float) -> LagSolution | None:
    # h relaxes at the rate <s_z>, here for z of variance 1.
    slowest = max(1.0 / max(form.gate_z.average(1.0), _LEAST_RATE), *form.tau)
    times = [t for v, t in zip(form.input_variance, form.input_time, strict=True) if v > 0]
    slowest = max([slowest, *(t for t in times if np.isfinite(t))])
    frame = Frame(slowest, _FIRST_HORIZON * slowest, LAGS)
    for _ in range(_FRAMES):
        lags = grid_of(frame).lags
        shape = np.exp(-0.5 * (lags / frame.scale) ** 2)
        C_h = start * shape
        C = np.stack([C_h, *(form.phi(C_h, start)[0] + form.input_variance[k] for k in (1, 2))])
        C, _ = relax(form, frame, C)
        if not np.all(np.isfinite(C)):
            return None
        if C[0, 0] < _SILENT and form.input_variance[0] == 0:
            return _gates_alone(form, frame)
        if form.static_input and np.max(_falls(C)) < _MOVES:
            return None
        needed = horizon_of(form, C) if tail_rate(form, C) > 0 else 4 * frame.horizon
        if needed <= 2 * frame.horizon:
            break
        frame = Frame(frame.scale, min(needed, 4 * frame.horizon), LAGS)
    return _settled(form, frame, C)


def _gates_alone(form: GatedForm, frame: Frame) -> LagSolution | None:
    """Return the state at h = 0 whose gates follow their inputs; none where these are constant."""
    if form.static_input:
        return None

    def driven(each: Frame) -> HostArray:
        return relax(form, each, np.zeros((3, each.count)), sweeps=1)[0]

    first = driven(frame)
    frame = Frame(_core(form, first, frame), horizon_of(form, first), LAGS)
    fine = _finer(frame)
    # Nothing feeds back to the gates' inputs: a second sweep measures what the first has left.
    C, residual = relax(form, fine, driven(fine), sweeps=1)
    return _judged(form, (frame, driven(frame)), (fine, C), (residual,))


def _partner(form: GatedForm, one: LagSolution) -> LagSolution | None:
    """Return the moving state that merges with the given one where both end, if there is one."""
    frame, before = Frame(one.frame.scale, one.frame.horizon, LAGS), (one.C[0, 0], 1.0)
    C = values_at(one.frame, one.C, grid_of(frame).lags)
    ratio = 0.9995
    if not strength_at(form, frame, C, ratio * before[0])[1] < 1:
        ratio = 1 / ratio
    for _ in range(_STEPS):
        variance = before[0] * ratio
        C, strength = strength_at(form, frame, C, variance)
        if not np.isfinite(strength) or not _moves(form, C, (0.0,)):
            return None
        if strength > 1 and before[1] <= 1:
            part = (1 - before[1]) / (strength - before[1])
            found = _settled(form, frame, C * (1 - (1 - part) * (1 - before[0] / variance)))
            same = found is None or abs(found.C[0, 0] / one.C[0, 0] - 1) < 1e-6
            return None if same else found
        before = (variance, strength)
        new = Frame(_core(form, C, frame), horizon_of(form, C), LAGS)
        C, frame = values_at(frame, C, grid_of(new).lags), new
        ratio = float(np.clip(ratio**1.6, 0.7, 1.4))
    return None


def _settled(form: GatedForm, frame: Frame, C: HostArray) -> LagSolution | None:
    """Solve, choose the half line anew by what was found, and solve again on a finer one."""
    for _ in range(_FRAMES):
        C, history = newton(form, frame, C)
        if not _moves(form, C, history):
            return None
        scale, horizon = _core(form, C, frame), horizon_of(form, C)
        fits = 0.5 < scale / frame.scale < 2 and 0.8 < horizon / frame.horizon < 1.25
        if fits:
            break
        new = Frame(scale, horizon, frame.count)
        C, frame = values_at(frame, C, grid_of(new).lags), new
    fine = _finer(frame)
    better, more = newton(form, fine, values_at(frame, C, grid_of(fine).lags))
    if not _moves(form, better, more):
        return None
    return _judged(form, (frame, C), (fine, better), (*history, *more))


def _finer(frame: Frame) -> Frame:
    """Return the half line on which a solution is found again."""
    return Frame(frame.scale, 1.2 * frame.horizon, _FINER)


def _judged(
    form: GatedForm,
    coarse: tuple[Frame, HostArray],
    fine: tuple[Frame, HostArray],
    history: tuple[float, ...],
) -> LagSolution:
    """Return the finer of two solutions, with how far it is from the coarser and if it is good."""
    frame, C = fine
    lags = grid_of(frame).lags
    there = C[:, 0] > _LEAST
    change = np.abs(C - values_at(*coarse, lags))[there] / C[there, :1]
    truncation = float(np.max(change, initial=0.0))
    good = (
        history[-1] < _ACCEPTED
        and truncation < _LARGEST_TRUNCATION
        and tail_rate(form, C) > 0
        and is_covariance(frame, C)
    )
    return LagSolution(frame, lags, C, history[-1], history, truncation, bool(good))


def _moves(
    form: GatedForm, C: Float[HostArray, "component lag"], history: tuple[float, ...]
) -> bool:
    """Whether Newton's method led to a state that is neither zero nor, if it may be, constant."""
    if not np.all(np.isfinite(C)) or history[-1] > 1e-5 or C[0, 0] < _LEAST:
        return False
    return bool(not form.static_input or np.max(_falls(C)) > _MOVES)


def _falls(C: Float[HostArray, "component lag"]) -> Float[HostArray, " component"]:
    return (C[:, 0] - C.min(axis=1)) / np.maximum(C[:, 0], 1e-300)


def _core(form: GatedForm, C: Float[HostArray, "component lag"], frame: Frame) -> float:
    """Return the scale of C_h, or where h stands still while inputs move a gate, that gate's.

    Inputs that vary faster set the scale: a half line too coarse for them would not show it.
    """
    falls = _falls(C)
    if np.max(falls) < _ROUNDING:
        return frame.scale
    core = scale_of(C[0 if falls[0] > _MOVES else int(np.argmax(falls))], grid_of(frame).lags)
    pairs = zip(form.input_variance, form.input_time, strict=True)
    return min([core, *(time for variance, time in pairs if variance > 0)])


def _distinct(found: list[LagSolution]) -> tuple[LagSolution, ...]:
    ordered = sorted(found, key=lambda each: each.C[0, 0])
    kept: list[LagSolution] = []
    for each in ordered:
        if not kept or each.C[0, 0] > kept[-1].C[0, 0] * (1 + 1e-6):
            kept.append(each)
    return tuple(kept)
