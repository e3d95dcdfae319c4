"""Self-play in rock, paper, scissors: past selves are the tasks, and those that are beaten least are drawn most often.

Compares a learner that plays past selves, chosen by PFSP, with one that always plays its latest self.
"""

import argparse

import numpy as np

from curricular import Curriculum, PfspConfig

BEATS = np.array([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]])  # result of rock, paper, scissors
MAX_OPPONENTS, EPISODES_PER_SNAPSHOT, RATE, DECAY = 100, 100, 0.05, 0.001


class Opponents:
    """Past selves in a curriculum, which grows with every snapshot."""

    def __init__(self) -> None:
        # A task is the number of a snapshot. There may be up to 1,000, of which at most 100 are in the pool at a time.
        config = PfspConfig(num_active_tasks=MAX_OPPONENTS, num_first_tasks=1, score_range=(-1.0, 1.0))
        self.curriculum = Curriculum(range(1_000), config)

    def add(self, number: int) -> None:
        """Adds a snapshot; if the pool is full, the opponent with the best score of the learner leaves it."""
        tasks = self.curriculum.tasks()
        if len(tasks["task_id"]) == MAX_OPPONENTS:
            easiest = np.nan_to_num(tasks["score"], nan=-1.0).argmax()
            self.curriculum.remove_tasks([tasks["task_id"][easiest]])
        self.curriculum.add_tasks([number])


def train(num_episodes: int, opponents: Opponents | None) -> list[float]:
    """Trains a learner; returns what the best answer to it wins per game, for each episode. 0 is perfect play."""
    rng = np.random.default_rng(0)
    snapshots = [np.array([0.8, 0.1, 0.1])]  # policies; of a network, save the weights to a file by number
    logits = np.log(snapshots[0])
    exploitability = []
    for episode in range(1, num_episodes + 1):
        policy = np.exp(logits) / np.exp(logits).sum()
        task = opponents.curriculum.get_task() if opponents else None
        opponent = snapshots[-1 if task is None else task.config]
        move, answer = rng.choice(3, p=policy), rng.choice(3, p=opponent)
        score = float(BEATS[move, answer])
        logits = (1 - DECAY) * (logits + RATE * score * (np.eye(3)[move] - policy))  # REINFORCE: your trainer
        if opponents and task:
            opponents.curriculum.update_task_performance(task.task_id, score)
        exploitability.append(float((BEATS @ policy).max()))
        if episode % EPISODES_PER_SNAPSHOT == 0:
            snapshots.append(policy)
            if opponents:
                opponents.add(len(snapshots) - 1)
    return exploitability


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--episodes", type=int, default=20_000)
    num_episodes = parser.parse_args().episodes
    for name, opponents in (("its latest self", None), ("past selves by PFSP", Opponents())):
        exploitability = train(num_episodes, opponents)
        quarter = num_episodes // 4
        first, last = np.mean(exploitability[:quarter]), np.mean(exploitability[-quarter:])
        print(f"against {name}: the best answer to the learner wins {first:.2f} per game in the first quarter of")
        print(f"{num_episodes} episodes, and {last:.2f} in the last")


if __name__ == "__main__":
    main()
