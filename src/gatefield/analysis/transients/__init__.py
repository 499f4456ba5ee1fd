r"""How long networks take to come to rest: chaotic transients, beside a stable fixed point.

Where the gated RNN has :math:`\sqrt2 < g_h < 2` its zero state is stable, and every finite network
ends there. What happens before depends on the gain of the output gate (regions of
`gatefield.phase_diagram`):

- Region 2, above ``gatefield.phases.fixed_point_line``: unstable fixed points fill the phase space,
  and motion slows down beside them. Transients are longer than the decay time of the zero state,
  but they tend to a finite time as N grows: a larger network is no more lively than a small one.
- Region 3, above ``gatefield.phases.dynamical_line``: infinite networks are chaotic for ever.
  Finite ones are chaotic for a time that grows with N and is nearly exponentially distributed: at
  each moment a network has the same chance to stop. A large network is chaotic for all practical
  purposes, although its only attractor is the fixed point. Whoever measures an exponent or trains
  such a network sees chaos or rest depending on N and on how long he looks.

`transient_lengths` measures these times for any cell, with the statistics of runs that had not
ended when they were given up.

References
----------
Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Sec. V B 3, App. G 2, Fig. 11.
"""

from gatefield.analysis.transients.lengths import transient_lengths
from gatefield.analysis.transients.result import TransientLengths
from gatefield.analysis.transients.survival import SurvivalCurve
from gatefield.analysis.transients.trend import TransientTrend

__all__ = ["SurvivalCurve", "TransientLengths", "TransientTrend", "transient_lengths"]
