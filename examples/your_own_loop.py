"""A curriculum in a custom training loop: ask for a task, play it, tell the score."""

import gymnasium as gym

from curricular import Curriculum, LearningProgressConfig, bucketed

lakes = bucketed({"map_name": "4x4", "is_slippery": True}, {"map_name": ["4x4", "8x8"], "is_slippery": [False, True]})
curriculum = Curriculum(LearningProgressConfig.stable(num_active_tasks=4), lakes)

for _ in range(400):
    task = curriculum.get_task()
    env = gym.make("FrozenLake-v1", **task.config)
    env.reset()
    score, is_over = 0.0, False
    while not is_over:
        _, reward, is_terminated, is_truncated, _ = env.step(env.action_space.sample())  # your agent
        score, is_over = score + float(reward), is_terminated or is_truncated
    curriculum.update_task_performance(task.task_id, score)

tasks = curriculum.tasks()  # columns: pandas.DataFrame(tasks) is a table
for label, count, score in zip(tasks["label"], tasks["num_completions"], tasks["score"], strict=True):
    print(f"{label}: {count} episodes, mean score {score:.2f}")
