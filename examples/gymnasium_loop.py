"""Q-learning on a frozen lake that begins each episode where there is most to learn: CurriculumEnv in a plain loop.

The goal pays 1, all else 0, and from the far corner chance hardly ever finds it. Cells near the goal are learned first,
then those from which one gets to a cell that is known. Two starts are useless, the goal and a hole: few draws go there.
"""

import gymnasium
import numpy as np
from gymnasium.envs.toy_text.frozen_lake import FrozenLakeEnv

from curricular import Curriculum, LearningProgressConfig, bucketed
from curricular.wrappers.gymnasium import CurriculumEnv

NUM_EPISODES = 2_000
EXPLORATION, LEARNING_RATE, DISCOUNT = 0.2, 0.5, 0.95


class Lake(FrozenLakeEnv):
    """A lake on which an episode may begin anywhere."""

    def __init__(self) -> None:
        super().__init__(map_name="8x8", is_slippery=False)

    def set_start(self, config: dict[str, int]) -> None:
        self.initial_state_distrib = np.zeros(64)
        self.initial_state_distrib[config["row"] * 8 + config["column"]] = 1


def main() -> None:
    tasks = bucketed({"row": 0, "column": 0}, {"row": [0, 2, 4, 6, 7], "column": [0, 1, 7]})
    curriculum = Curriculum(LearningProgressConfig.default(num_active_tasks=15, use_shared_memory=False), tasks)
    lake = gymnasium.wrappers.TimeLimit(Lake(), max_episode_steps=50)
    env = CurriculumEnv(lake, curriculum, apply="set_start", stats_interval=NUM_EPISODES // 10)
    rng = np.random.default_rng(0)
    values = np.zeros((64, 4))

    for episode in range(1, NUM_EPISODES + 1):
        state, info = env.reset()
        is_over = False
        while not is_over:
            best = np.flatnonzero(values[state] == values[state].max())
            action = int(rng.integers(4) if rng.random() < EXPLORATION else rng.choice(best))
            new_state, reward, is_terminated, is_truncated, info = env.step(action)
            target = float(reward) + DISCOUNT * (0 if is_terminated else values[new_state].max())
            values[state, action] += LEARNING_RATE * (target - values[state, action])
            state, is_over = new_state, is_terminated or is_truncated
        if "stats" in info["curriculum"]:
            stats = info["curriculum"]["stats"]
            print(f"episode {episode:5}: {stats['success/mean']:4.0%} success over all starts")
    env.close()

    print("success from each start, S being (0, 0) and G (7, 7):")
    for state in sorted(curriculum.task_states(), key=lambda state: -state.success_ema):
        task = tasks.build(state.seed, np.array(state.params))
        print(f"  {task['row'], task['column']}: {state.success_ema:4.0%} after {state.num_completions} episodes")


if __name__ == "__main__":
    main()
