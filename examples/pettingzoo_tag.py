"""Three predators of MPE learn to catch a prey; the curriculum chooses how fast the prey is.

Each predator learns by itself: Q-learning over the direction and the distance of the prey. The score of an episode is
whether the prey was caught in time.
"""

import argparse

import numpy as np
from mpe2 import simple_tag_v3

from curricular import Curriculum, Task
from curricular.wrappers.pettingzoo import CurriculumEnv

SPEEDS = [0.25, 0.5, 0.75, 1.0]  # of the prey, as a share of its usual speed
MAX_CYCLES = 25
LEARNING_RATE, DISCOUNT, RANDOM_SHARE = 0.1, 0.9, 0.2


def apply(env: CurriculumEnv, task: Task) -> None:
    """Sets how fast the prey is."""
    prey = env.unwrapped.world.agents[-1]
    prey.max_speed, prey.accel = 1.3 * task.config, 4.0 * task.config


def cell(observation: np.ndarray) -> int:
    """Returns one of 24 cells: 8 directions and 3 distances of the prey, whose relative position is in 12 and 13."""
    x, y = observation[12:14]
    direction = int((np.arctan2(y, x) + np.pi) / (2 * np.pi) * 8) % 8
    return 3 * direction + int(np.digitize(np.hypot(x, y), [0.3, 1.0]))


def main() -> None:
    parser = argparse.ArgumentParser(description="Trains predators with a curriculum of prey speeds.")
    parser.add_argument("--episodes", type=int, default=600)
    options = parser.parse_args()

    curriculum = Curriculum(SPEEDS)
    env = CurriculumEnv(
        simple_tag_v3.parallel_env(terminate_on_success=True, max_cycles=MAX_CYCLES),
        curriculum,
        apply=apply,
        reduce=lambda numbers: numbers[:3].mean(),  # the predators; the prey comes last
        score=lambda episode: float(episode.length < MAX_CYCLES),
    )
    rng = np.random.default_rng(0)
    values = {agent: np.zeros((24, 5)) for agent in env.possible_agents[:3]}

    def act(agent: str, observation: np.ndarray) -> int:
        if agent not in values or rng.random() < RANDOM_SHARE:
            return int(rng.integers(5))  # the prey moves at random
        return int((values[agent][cell(observation)] + 1e-9 * rng.random(5)).argmax())

    for _ in range(options.episodes):
        observations, infos = env.reset()
        while env.agents:
            actions = {agent: act(agent, observations[agent]) for agent in env.agents}
            following, rewards, terminations, _, infos = env.step(actions)
            for agent, table in values.items():
                played = cell(observations[agent]), actions[agent]
                best = table[cell(following[agent])].max() * (not terminations[agent])
                table[played] += LEARNING_RATE * (rewards[agent] + DISCOUNT * best - table[played])
            observations = following
        if stats := infos["adversary_0"]["curriculum"].get("stats"):
            print(f"{stats['num_completed']:.0f} episodes, caught in {stats['score/mean']:.0%}")
    env.close()
    for task_id in curriculum.tasks()["task_id"]:
        view = curriculum.task(int(task_id))
        print(
            f"speed {view.config:.0%}: {view.num_completions} episodes, caught in {view.score or 0:.0%} of the latest"
        )


if __name__ == "__main__":
    main()
