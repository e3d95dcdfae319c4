"""Simulated learners with a known truth: the proving ground on which choices of tasks are compared.

>>> world = SCENARIOS["chain"].build(seed=0)
>>> round(play(world, Uniform(world)).final, 1) > 0.2
True
"""

from .play import Oracle, Run, Sampler, SamplerFactory, Uniform, play
from .scenarios import CHOOSE, NO_HARM, REPORT, SCENARIOS, SCORED
from .scores import Interval, Recovery, Scores, normalised_scores, ratio_runs, recovery, score_runs
from .worlds import BATCH_SIZE, Feedback, Pool, Scenario, World

__all__ = [
    "BATCH_SIZE",
    "CHOOSE",
    "NO_HARM",
    "REPORT",
    "SCENARIOS",
    "SCORED",
    "Feedback",
    "Interval",
    "Oracle",
    "Pool",
    "Recovery",
    "Run",
    "Sampler",
    "SamplerFactory",
    "Scenario",
    "Scores",
    "Uniform",
    "World",
    "normalised_scores",
    "play",
    "ratio_runs",
    "recovery",
    "score_runs",
]
