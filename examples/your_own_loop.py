"""The ten lines for an environment of your own: ask for a task, play it, tell the score. No framework needed."""

import numpy as np

from curricular import Curriculum, LearningProgressConfig, bucketed

rng = np.random.default_rng(0)
skill = 1.0


def play(digits: int) -> float:
    """Your environment and your agent: here, sums that succeed if they are easy for its skill, and then teach it."""
    global skill  # noqa: PLW0603 -- stands for the weights of a network
    success = rng.random() < 1 / (1 + np.exp(4 * (digits - skill)))
    skill += 0.02 * success * (digits > skill - 1)
    return float(success)


sums = bucketed({"digits": 1}, {"digits": list(range(1, 13))})
curriculum = Curriculum(LearningProgressConfig.fast_learning(num_active_tasks=12, use_shared_memory=False), sums)
for _ in range(200):
    tasks = curriculum.ask(32)
    scores = [play(**task.config) for task in tasks]
    curriculum.tell([task.task_id for task in tasks], scores)

print(f"skill {skill:.1f} of 12 digits")
print(f"success {curriculum.stats()['success/mean']:.0%} over all tasks")
