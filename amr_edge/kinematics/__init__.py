"""How far does which joint move: angles, ranges of motion that an exercise must show, repetitions, executions.

- `angles`: joint angles, frame by frame;
- `Rule` and `shows`: which movement an answer must show to be believed; `Gate` applies a card's rules;
- `counted` and `repetitions`, with their streamed twins `Repeats` and `Counter`: full cycles, out and back;
- `rep_features` and `Quality`: what tells a right execution from a wrong one.

NumPy alone; docs/movement.md explains the measures and has the figures behind the rules.
"""

from amr_edge.kinematics.execution_quality import FEATURES, Quality, rep_features
from amr_edge.kinematics.joint_angles import MEASURES, SIDED, WHOLE, angles, standing
from amr_edge.kinematics.range_of_motion import RULES, Bound, Moved, Rule, moved, shows
from amr_edge.kinematics.range_of_motion_gate import Gate, Gated, gated, qualities_of, rules_of
from amr_edge.kinematics.repetitions import Counter, Cycle, Repeats, counted, followed, repetitions

__all__ = [
    "FEATURES",
    "MEASURES",
    "RULES",
    "SIDED",
    "WHOLE",
    "Bound",
    "Counter",
    "Cycle",
    "Gate",
    "Gated",
    "Moved",
    "Quality",
    "Repeats",
    "Rule",
    "angles",
    "counted",
    "followed",
    "gated",
    "moved",
    "qualities_of",
    "rep_features",
    "repetitions",
    "rules_of",
    "shows",
    "standing",
]
