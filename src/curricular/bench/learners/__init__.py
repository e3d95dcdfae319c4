"""Simulated learners whose success rates are known: the proving ground on which algorithms are compared.

Examples:
    >>> world = SCENARIOS["chain"].build(seed=0)
    >>> play(world, Uniform(world)).final > 0.2
    True
"""

from .play import Oracle, Run, Teacher, TeacherFactory, Uniform, play
from .scenarios import CHOOSE, NO_HARM, POST_TRAINING, REPORT, SCENARIOS, SCORED
from .scores import Interval, Recovery, Scores, normalised_scores, ratio_runs, recovery, score_runs
from .worlds import BATCH_SIZE, Feedback, Pool, Scenario, World, check_speed

__all__ = [
    "BATCH_SIZE",
    "CHOOSE",
    "NO_HARM",
    "POST_TRAINING",
    "REPORT",
    "SCENARIOS",
    "SCORED",
    "Feedback",
    "Interval",
    "Oracle",
    "Pool",
    "Recovery",
    "Run",
    "Scenario",
    "Scores",
    "Teacher",
    "TeacherFactory",
    "Uniform",
    "World",
    "check_speed",
    "normalised_scores",
    "play",
    "ratio_runs",
    "recovery",
    "score_runs",
]
