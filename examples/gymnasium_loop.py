"""Q-learning on FrozenLake 8x8 with `CurriculumEnv`: the curriculum chooses how far from the goal an episode starts.

From the usual start at the top left, an untrained agent almost never reaches the goal, so it learns nothing.
"""

import gymnasium as gym
import numpy as np

from curricular import Curriculum, LearningProgressConfig, Task, bucketed
from curricular.wrappers.gymnasium import CurriculumEnv

STARTS = [62, 55, 39, 23, 7, 0]  # from next to the goal (63), up the right edge and along the top
NUM_EPISODES = 2000
REPORT_INTERVAL = 200  # episodes
LEARNING_RATE, DISCOUNT, RANDOM_SHARE = 0.3, 0.98, 0.2


def apply(env: gym.Env, task: Task) -> None:
    """Sets the start of the next episode to the task's start."""
    env.unwrapped.initial_state_distrib = np.eye(env.observation_space.n)[task.config["start"]]


def main() -> None:
    starts = bucketed({"start": 0}, {"start": STARTS})
    curriculum = Curriculum(LearningProgressConfig.default(num_active_tasks=len(STARTS), eviction_rate=0), starts)
    lake = gym.make("FrozenLake-v1", map_name="8x8", is_slippery=False)
    env = CurriculumEnv(lake, curriculum, apply=apply, stats_interval=REPORT_INTERVAL)

    print("episodes so far by start, and success rate of the latest\n" + "".join(f"{start:>12}" for start in STARTS))
    rng = np.random.default_rng(0)
    values = np.zeros((env.observation_space.n, env.action_space.n))
    for _ in range(NUM_EPISODES):
        state, info = env.reset()
        is_over = False
        while not is_over:
            is_random = rng.random() < RANDOM_SHARE
            best = np.flatnonzero(values[state] == values[state].max())
            action = int(rng.integers(env.action_space.n) if is_random else rng.choice(best))
            following, reward, is_terminated, is_truncated, info = env.step(action)
            target = reward + DISCOUNT * values[following].max() * (not is_terminated)
            values[state, action] += LEARNING_RATE * (target - values[state, action])
            state, is_over = following, is_terminated or is_truncated
        if "stats" in info["curriculum"]:
            report(info["curriculum"]["stats"])
    env.close()


def report(stats: dict[str, float]) -> None:
    """Prints one line: for each start, the number of episodes so far and the success rate of the latest episodes."""
    labels = [f"label/start={start}" for start in STARTS]
    cells = [(stats[f"{label}/num_completed"], stats.get(f"{label}/success", 0)) for label in labels]
    print("".join(f"{episodes:>6.0f}{success:>6.0%}" for episodes, success in cells))


if __name__ == "__main__":
    main()
