"""Joint angles, ranges of motion of exercises, repetition counting and execution quality.

- `angles`: joint angles, frame by frame;
- `Rule` and `shows`: the range of motion that makes a prediction plausible; `Gate` applies a card's rules;
- `count_repetitions` and `repetitions`: full cycles, out and back; frame by frame `RuleCounter` and `CycleCounter`;
- `rep_features` and `Quality`: probability that a repetition was executed correctly.

NumPy alone; docs/movement.md explains the measures and has the figures behind the rules.
"""

from amr_edge.kinematics.execution_quality import FEATURES, Quality, rep_features
from amr_edge.kinematics.joint_angles import MEASURES, SIDED, WHOLE, angles, standing
from amr_edge.kinematics.range_of_motion import RULES, Bound, Movement, Rule, measure_movement, shows
from amr_edge.kinematics.range_of_motion_gate import Gate, GateResult, apply_gate, qualities_of, rules_of
from amr_edge.kinematics.repetitions import (
    Cycle,
    CycleCounter,
    RuleCounter,
    count_repetitions,
    repetitions,
    rule_signals,
)

__all__ = [
    "FEATURES",
    "MEASURES",
    "RULES",
    "SIDED",
    "WHOLE",
    "Bound",
    "Cycle",
    "CycleCounter",
    "Gate",
    "GateResult",
    "Movement",
    "Quality",
    "Rule",
    "RuleCounter",
    "angles",
    "apply_gate",
    "count_repetitions",
    "measure_movement",
    "qualities_of",
    "rep_features",
    "repetitions",
    "rule_signals",
    "rules_of",
    "shows",
    "standing",
]
