"""Q-learning on eight FrozenLakes at once: one curriculum around the vector environment chooses where episodes start.

`gymnasium_loop.py` is the same with one environment. `AsyncVectorEnv` works as well as `SyncVectorEnv`.
"""

import gymnasium as gym
import numpy as np

from curricular import Curriculum, LearningProgressConfig, bucketed
from curricular.wrappers.gymnasium_vector import CurriculumEnv

STARTS = [62, 55, 39, 23, 7, 0]  # from next to the goal (63), up the right edge and along the top
NUM_ENVS, NUM_STEPS, REPORT_INTERVAL = 8, 10_000, 1000
LEARNING_RATE, DISCOUNT, RANDOM_SHARE = 0.3, 0.98, 0.2


class Lake(gym.Wrapper):
    """FrozenLake 8x8 whose episodes start where its task says; the wrapper outside sets the attribute `task`."""

    task = None

    def __init__(self) -> None:
        super().__init__(gym.make("FrozenLake-v1", map_name="8x8", is_slippery=False))

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple:
        self.unwrapped.initial_state_distrib = np.eye(64)[self.task.config["start"]]
        return super().reset(seed=seed, options=options)


def main() -> None:
    starts = bucketed({"start": 0}, {"start": STARTS})
    curriculum = Curriculum(LearningProgressConfig.default(num_active_tasks=len(STARTS), eviction_rate=0), starts)
    envs = CurriculumEnv(gym.vector.SyncVectorEnv([Lake] * NUM_ENVS), curriculum, apply="task")

    print("episodes so far by start, and success rate of the latest\n" + "".join(f"{start:>12}" for start in STARTS))
    rng = np.random.default_rng(0)
    values = np.zeros((64, 4))
    states, _ = envs.reset(seed=0)
    has_ended = np.zeros(NUM_ENVS, np.bool_)
    for step in range(1, NUM_STEPS + 1):
        best = (values[states] + 1e-9 * rng.random((NUM_ENVS, 4))).argmax(axis=1)
        is_random = rng.random(NUM_ENVS) < RANDOM_SHARE
        actions = np.where(is_random, rng.integers(4, size=NUM_ENVS), best)
        following, rewards, terminations, truncations, _ = envs.step(actions)
        targets = rewards + DISCOUNT * values[following].max(axis=1) * ~terminations
        is_played = ~has_ended  # an environment that has ended restarts in this step: there is nothing to learn
        played = states[is_played], actions[is_played]
        values[played] += LEARNING_RATE * (targets[is_played] - values[played])
        states, has_ended = following, terminations | truncations
        if step % REPORT_INTERVAL == 0:
            report(curriculum.stats())
    envs.close()


def report(stats: dict[str, float]) -> None:
    """Prints one line: for each start, the number of episodes so far and the success rate of the latest episodes."""
    labels = [f"label/start={start}" for start in STARTS]
    cells = [(stats[f"{label}/num_completed"], stats.get(f"{label}/success", 0)) for label in labels]
    print("".join(f"{episodes:>6.0f}{success:>6.0%}" for episodes, success in cells))


if __name__ == "__main__":
    main()
