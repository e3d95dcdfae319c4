"""The scenarios, from a chain of skills among distractors to pools where a curriculum must do no harm.

The first variation of a scenario is its definition. Settings are chosen on the odd variations (`CHOOSE`) and results
are reported on the even ones (`REPORT`), so no setting is tuned on the worlds that judge it.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from .blueprints import axes, chain, frontier, independent, prompts
from .worlds import Feedback, Scenario


def _scenario(number: str, name: str, summary: str, draw: Any, *variations: Mapping[str, Any]) -> Scenario:
    return Scenario(name=name, number=number, summary=summary, draw=draw, variations=({}, *variations))


_long_chain = partial(chain, num_steps=3000)
_no_harm = partial(independent, rate=0.15, start=(-3.0, 1.0))

SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        _scenario(
            "1",
            "chain",
            "20 tasks, each of which needs the skills of all earlier tasks",
            partial(chain, num_steps=1500),
            {"num_skills": 12, "rate": 0.03},
            {"num_skills": 30, "num_steps": 2500},
            {"start": -1.0, "rate": 0.03},
        ),
        _scenario(
            "2",
            "impossible",
            "the chain among 80 tasks that are never solved",
            partial(_long_chain, impossible=80),
            {"impossible": 40, "num_skills": 15, "num_steps": 2000},
            {"impossible": 160},
            {"impossible": 120, "rate": 0.08},
        ),
        _scenario(
            "3",
            "noise",
            "the chain among 80 tasks with constant success rates from 0.2 to 0.8",
            partial(_long_chain, noise=80),
            {"noise": 40, "num_skills": 15, "num_steps": 2000},
            {"noise": 160},
            {"noise": 120, "rate": 0.08},
        ),
        _scenario(
            "4",
            "rare-noise",
            "the chain among 80 tasks with a constant success rate of 0.1",
            partial(_long_chain, rare=80),
            {"rare": 40, "num_skills": 15, "num_steps": 2000},
            {"rare": 160},
            {"rare": 120, "rate": 0.08},
        ),
        _scenario(
            "5",
            "easy",
            "the chain among 180 tasks with a constant success rate of 0.99",
            partial(_long_chain, easy=180),
            {"easy": 90, "num_skills": 15, "num_steps": 2000},
            {"easy": 360},
            {"easy": 240, "rate": 0.08},
        ),
        _scenario(
            "6",
            "reset",
            "the chain among 30 impossible tasks; all skills are lost at half-time",
            partial(_long_chain, impossible=30, is_reset=True),
            {"impossible": 15, "num_skills": 15, "num_steps": 2400},
            {"impossible": 60},
            {"impossible": 45, "rate": 0.08},
        ),
        _scenario(
            "7",
            "forgetting",
            "100 mastered tasks, five of which are forgotten every 150 steps, among 100 noise tasks",
            partial(independent, num_steps=3000, num_tasks=100, noise=100, rate=0.25, start=(4.0, 4.0), drop_every=150),
            {"num_tasks": 60, "noise": 60, "drop_every": 100, "num_dropped": 3},
            {"noise": 200, "num_dropped": 4},
            {"num_dropped": 10, "drop_every": 250},
        ),
        _scenario(
            "8",
            "huge-pool",
            "50 learnable tasks among 2,000",
            partial(independent, num_steps=1500, num_tasks=50, impossible=1950, rate=0.3, start=(-4.0, -2.0)),
            {"num_tasks": 30, "impossible": 970, "num_steps": 1000},
            {"num_tasks": 100, "impossible": 2900, "num_steps": 2500},
            {"start": (-3.5, -2.5), "impossible": 1450},
        ),
        _scenario(
            "9a",
            "no-harm-50",
            "50 tasks that are all worth learning",
            partial(_no_harm, num_steps=1500, num_tasks=50),
            {"num_tasks": 30, "num_steps": 1000},
            {"num_tasks": 80, "num_steps": 2000},
            {"start": (-2.0, -1.0)},
        ),
        _scenario(
            "9b",
            "no-harm-200",
            "200 tasks that are all worth learning",
            partial(_no_harm, num_steps=3000, num_tasks=200),
            {"num_tasks": 120, "num_steps": 2000},
            {"num_tasks": 300},
            {"start": (-2.0, -1.0)},
        ),
        _scenario(
            "9c",
            "no-harm-interference",
            "50 tasks worth learning; each is forgotten a little while others are played",
            partial(_no_harm, num_steps=3000, num_tasks=50, interference=0.02),
            {"num_tasks": 30, "num_steps": 2000},
            {"interference": 0.01, "num_tasks": 80},
            {"interference": 0.03, "rate": 0.2},
        ),
        _scenario(
            "10",
            "axes",
            "50,000 tasks on three axes, fewer than two visits each; the axes determine which tasks can be learned",
            axes,
            {"shape": (30, 40, 25), "num_learnable": 8, "num_steps": 1800},
            {"num_learnable": 5, "num_lotteries": 10},
            {"hardest": 3.0, "start": -1.5},
        ),
        _scenario(
            "11",
            "cost",
            "100 learnable and 100 impossible tasks; episode costs differ up to 50-fold, the budget is in steps",
            partial(
                independent,
                num_steps=1000,
                num_tasks=100,
                impossible=100,
                rate=0.15,
                start=(-3.0, -1.0),
                cost_ratio=50.0,
            ),
            {"num_tasks": 60, "impossible": 60},
            {"num_tasks": 150, "impossible": 150, "num_steps": 1500},
            {"cost_ratio": 20.0},
        ),
        _scenario(
            "12",
            "goalposts",
            "50 learnable tasks that keep getting harder once they are mastered, among 250 impossible tasks",
            partial(
                independent,
                num_steps=2000,
                num_tasks=50,
                impossible=250,
                rate=0.25,
                start=(-2.0, -2.0),
                drift=0.006,
            ),
            {"num_tasks": 30, "impossible": 150},
            {"num_tasks": 80, "impossible": 220},
            {"drift": 0.003, "impossible": 350},
        ),
        _scenario(
            "13",
            "delay",
            "the chain among 80 impossible tasks; results arrive 0 to 50 steps late, one in ten never",
            partial(_long_chain, impossible=80, feedback=Feedback(max_delay=50, lost_share=0.1)),
            {"impossible": 40, "num_skills": 15, "num_steps": 2000},
            {"feedback": Feedback(max_delay=100, lost_share=0.3)},
            {"impossible": 120, "rate": 0.08},
        ),
        _scenario(
            "14",
            "graded",
            "the chain among 80 noise tasks; scores are graded, with a Beta distribution around the success rate",
            partial(_long_chain, noise=80, feedback=Feedback(concentration=4.0)),
            {"noise": 40, "num_skills": 15, "num_steps": 2000},
            {"feedback": Feedback(concentration=1.0)},
            {"noise": 120, "rate": 0.08},
        ),
        _scenario(
            "15",
            "mixture",
            "the chain among 40 impossible tasks, 40 of noise, 20 of rare noise and 60 easy ones at once",
            partial(_long_chain, impossible=40, noise=40, rare=20, easy=60),
            {"impossible": 80, "noise": 20, "rare": 20, "easy": 20, "num_skills": 15, "num_steps": 2000},
            {"impossible": 20, "noise": 80, "rare": 40, "easy": 30},
            {"impossible": 30, "noise": 30, "rare": 10, "easy": 120, "rate": 0.08},
        ),
        _scenario(
            "16",
            "frontier",
            "a chain of 7 tasks whose first succeeds once in 200 times, among 3 mastered tasks, 30 impossible ones and"
            " 10 that succeed once in 500 times",
            frontier,
            {"num_mastered": 1, "impossible": 15, "flukes": 5, "num_steps": 2000},
            {"num_mastered": 6, "impossible": 20, "flukes": 20},
            {"first": 0.01, "impossible": 60, "flukes": 5},
        ),
        _scenario(
            "17a",
            "post-training",
            "five epochs over 10,000 prompts in 20 topics; groups of 8 rollouts, late results, one in ten lost",
            partial(prompts, num_prompts=10_000, num_epochs=5),
            {"num_prompts": 8_000, "num_topics": 15},
            {"num_topics": 40},
            {"num_topics": 10, "impossible_share": 0.2},
        ),
        _scenario(
            "17b",
            "post-training-epoch",
            "one epoch over 100,000 prompts in 20 topics, likewise",
            partial(prompts, num_prompts=100_000, num_epochs=1),
            {"num_prompts": 80_000, "num_topics": 15},
            {"num_topics": 40},
            {"num_topics": 10, "impossible_share": 0.2},
        ),
        _scenario(
            "17c",
            "post-training-alike",
            "five epochs over 10,000 prompts of one topic, which all teach the same",
            partial(
                prompts,
                num_prompts=10_000,
                num_epochs=5,
                num_topics=1,
                impossible_share=0.0,
                learning=4.5,
                is_alike=True,
            ),
            {"num_prompts": 8_000},
            {"num_epochs": 2},
            {"num_prompts": 6_000},
        ),
        _scenario(
            "0",
            "nothing",
            "no task can be learned (40 impossible, 40 noise, 20 easy); a curriculum should draw uniformly",
            partial(
                independent,
                num_steps=1000,
                num_tasks=0,
                rate=0.0,
                start=(0.0, 0.0),
                impossible=40,
                noise=40,
                easy=20,
                num_dropped=0,
            ),
            {"impossible": 80, "noise": 20},
            {"impossible": 20, "noise": 80},
            {"easy": 100},
        ),
    )
}
"""Scenarios by name, in the order of the table in the documentation."""

SCORED = ("chain", "impossible", "noise", "rare-noise", "easy", "reset", "forgetting", "huge-pool")
"""Names of the scenarios 1-8, where the choice of tasks matters; the headline is their mean normalised score."""

NO_HARM = ("no-harm-50", "no-harm-200", "no-harm-interference", "post-training-alike")
"""Names of the scenarios 9 and 17c, where uniform draws are close to the best; reported as AUC / uniform."""

POST_TRAINING = ("post-training", "post-training-epoch", "post-training-alike")
"""Names of the scenarios 17, whose tasks are prompts. They take longer than all others together."""

REPORT = (0, 2)
"""Indices of the variations on which results are reported."""

CHOOSE = (1, 3)
"""Indices of the variations on which settings are chosen."""
