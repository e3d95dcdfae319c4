"""Trains agents by PPO on all levels that MiniHack registers, with several algorithms as the curriculum.

    make bench-nethack
    make bench-nethack ARGS="--algorithms uniform noise-aware --seeds 2 --steps 200000"

MiniHack's authors made the levels (Samvelyan et al. 2021, arXiv 2109.13202), from an empty square to Sokoban. The agent
has the eight moves and sees the characters and colours around it, so it can learn some levels soon and some never. Runs
stay in the folder `--out` and are reused.
"""

import argparse
import json
import os
import time
import warnings
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import gymnasium
import minihack  # noqa: F401  registers its levels
import numpy as np
import torch
from nle.nethack import CompassDirection
from numpy.typing import NDArray
from torch import Tensor, nn

from curricular import Curriculum
from curricular.algorithms.registry import variants
from curricular.demo.ppo import Rollout, Settings, update

ALGORITHMS = ("uniform", "noise-aware", "level-replay")
MOVES = tuple(CompassDirection)
SIGHT = 11
"""Width and height of what the agent sees, in cells."""
MAX_STEPS = 100
"""Length of an episode on every level."""
NUM_KINDS = 128 + 16
"""Number of characters and of colours."""
NUM_PLAYED, MAX_FREE = 64, 400
"""Number of episodes that an evaluation plays at a time, and of environments that wait."""
NUM_EVALUATIONS, EVALUATION_EPISODES, FINAL_EPISODES = 4, 2, 10
"""Number of evaluations, and of their episodes on each level."""
NUM_RESAMPLES = 2000

Observation = dict[str, NDArray[np.uint8]]


class Pool:
    """Makes environments of levels, and keeps those that are free."""

    def __init__(self) -> None:
        self._free: deque[tuple[str, gymnasium.Env[Any, Any]]] = deque()

    def take(self, level: str) -> gymnasium.Env[Any, Any]:
        for index, (name, env) in enumerate(self._free):
            if name == level:
                del self._free[index]
                return env
        return make(level)

    def put(self, level: str, env: gymnasium.Env[Any, Any]) -> None:
        self._free.append((level, env))
        if len(self._free) > MAX_FREE:
            self._free.popleft()[1].close()


def make(level: str) -> gymnasium.Env[Any, Any]:
    return gymnasium.make(
        level,
        observation_keys=("chars_crop", "colors_crop"),
        actions=MOVES,
        max_episode_steps=MAX_STEPS,
        obs_crop_h=SIGHT,
        obs_crop_w=SIGHT,
        disable_env_checker=True,
    )


def levels() -> list[str]:
    """Returns the registered levels: not those of maps that are missing, nor those that MiniGrid 3 no longer makes."""
    names = [name for name in gymnasium.registry if name.startswith("MiniHack-")]
    return [name for name in names if not any(word in name for word in ("Custom", "Boxoban", "Crossing"))]


def is_success(env: gymnasium.Env[Any, Any], info: dict[str, Any]) -> bool:
    return bool(info["end_status"] == env.unwrapped.StepStatus.TASK_SUCCESSFUL)  # type: ignore[attr-defined]


# ── The agent ────────────────────────────────────────────────────────────────────────────────────


class Agent(nn.Module):
    """Policy and value network with two shared layers and no memory."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        num_inputs = 2 * SIGHT**2
        self.first = nn.EmbeddingBag(SIGHT**2 * NUM_KINDS, hidden, mode="sum")  # a sum of columns, for one-hot codes
        self.second = nn.Linear(hidden, hidden)
        self.policy = nn.Linear(hidden, len(MOVES))
        self.value = nn.Linear(hidden, 1)
        nn.init.normal_(self.first.weight, std=(2 / num_inputs) ** 0.5)
        for layer, gain in ((self.second, 2**0.5), (self.policy, 0.01), (self.value, 1.0)):
            nn.init.orthogonal_(layer.weight, gain)
            nn.init.zeros_(layer.bias)

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        features = torch.tanh(self.second(torch.tanh(self.first(inputs))))
        return self.policy(features).log_softmax(-1), self.value(features).squeeze(-1)

    @torch.no_grad()
    def act(self, observations: Sequence[Observation], random: torch.Generator) -> tuple[Tensor, ...]:
        inputs = encode(observations)
        log_probabilities, values = self(inputs)
        actions = torch.multinomial(log_probabilities.exp(), 1, generator=random)
        return inputs, actions.squeeze(-1), log_probabilities.gather(-1, actions).squeeze(-1), values


CELLS = np.arange(SIGHT**2) * NUM_KINDS


def encode(observations: Sequence[Observation]) -> Tensor:
    """Returns the indices of the columns of what is seen, shape (n, 2 * SIGHT ** 2)."""
    chars = np.stack([observation["chars_crop"].reshape(-1) for observation in observations]).astype(np.int64)
    colours = np.stack([observation["colors_crop"].reshape(-1) for observation in observations]).astype(np.int64)
    return torch.from_numpy(np.concatenate([CELLS + chars % 128, CELLS + 128 + colours % 16], axis=1))


def evaluate(agent: Agent, names: Sequence[str], num_episodes: int, pool: Pool, seed: int) -> dict[str, float]:
    """Returns the share of episodes with success on each level, with sampled actions as in training."""
    random = torch.Generator().manual_seed(seed)
    waiting = [(name, seed + number) for number, name in enumerate(name for name in names for _ in range(num_episodes))]
    playing: list[tuple[str, gymnasium.Env[Any, Any], Observation]] = []
    successes: Counter[str] = Counter()
    while waiting or playing:
        while waiting and len(playing) < NUM_PLAYED:
            name, of_episode = waiting.pop()
            env = pool.take(name)
            playing.append((name, env, env.reset(seed=of_episode)[0]))
        _, actions, _, _ = agent.act([observation for _, _, observation in playing], random)
        still: list[tuple[str, gymnasium.Env[Any, Any], Observation]] = []
        for (name, env, _), action in zip(playing, actions.tolist(), strict=True):
            observation, _, is_terminated, is_truncated, info = env.step(action)
            if is_terminated or is_truncated:
                successes[name] += is_success(env, info)
                pool.put(name, env)
            else:
                still.append((name, env, observation))
        playing = still
    return {name: successes[name] / num_episodes for name in names}


# ── The training ─────────────────────────────────────────────────────────────────────────────────


class Lanes:
    """Environments stepped one after the other; each plays the tasks of the curriculum."""

    def __init__(self, curriculum: Curriculum[str], pool: Pool, num_lanes: int, seed: int) -> None:
        self._curriculum, self._pool = curriculum, pool
        self._random = np.random.default_rng(seed)
        self._tasks = curriculum.ask(num_lanes)
        self._envs = [pool.take(task.config) for task in self._tasks]
        self._gains = np.zeros((num_lanes, 2))  # sum of the positive advantages and number of steps of the episode
        self._ended: list[tuple[int, int, int, float]] = []
        self.draws: Counter[str] = Counter()
        self.observations: list[Observation] = [self._begin(lane) for lane in range(num_lanes)]

    def _begin(self, lane: int) -> Observation:
        observation, _ = self._envs[lane].reset(seed=int(self._random.integers(2**31)))
        return observation

    def step(self, number: int, actions: Sequence[int]) -> tuple[Tensor, Tensor]:
        rewards, ends = torch.zeros(len(actions)), torch.zeros(len(actions))
        for lane, (env, action) in enumerate(zip(self._envs, actions, strict=True)):
            observation, reward, is_terminated, is_truncated, info = env.step(action)
            rewards[lane] = float(reward)
            if is_terminated or is_truncated:
                ends[lane] = 1.0
                task = self._tasks[lane]
                self._ended.append((number, lane, task.task_id, float(is_success(env, info))))
                self.draws[task.config] += 1
                self._pool.put(task.config, env)
                self._tasks[lane] = self._curriculum.get_task()
                self._envs[lane] = self._pool.take(self._tasks[lane].config)
                observation = self._begin(lane)
            self.observations[lane] = observation
        return rewards, ends

    def tell(self, advantages: NDArray[np.float32]) -> None:
        """Tells the results of a rollout; the regret is the mean positive advantage of an episode's steps.

        Args:
            advantages: Advantage of each step, shape (rollout, lanes).
        """
        positive, first = advantages.clip(0.0), np.zeros(advantages.shape[1], int)
        ids, scores, regrets = [], [], []
        for number, lane, task_id, score in self._ended:
            gain = self._gains[lane] + (positive[first[lane] : number + 1, lane].sum(), number + 1 - first[lane])
            ids.append(task_id)
            scores.append(score)
            regrets.append(gain[0] / gain[1])
            self._gains[lane], first[lane] = 0.0, number + 1
        for lane, start in enumerate(first.tolist()):
            self._gains[lane] += (positive[start:, lane].sum(), len(positive) - start)
        self._ended.clear()
        if ids:
            self._curriculum.tell(ids, scores, regrets=regrets)


def train(curriculum: Curriculum[str], seed: int, settings: Settings) -> Iterator[dict[str, Any]]:
    """Trains an agent on the tasks of `curriculum`, and yields the figures of each evaluation."""
    start = time.process_time()
    torch.manual_seed(seed)
    random, pool, names = torch.Generator().manual_seed(seed), Pool(), levels()
    agent = Agent(settings.hidden)
    optimiser = torch.optim.Adam(agent.parameters(), lr=settings.learning_rate, eps=1e-5, fused=True)
    lanes, evaluation_seconds = Lanes(curriculum, pool, settings.num_lanes, seed), 0.0
    for number in range(1, settings.num_updates + 1):
        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * (1 - (number - 1) / settings.num_updates)
        steps = []
        for index in range(settings.rollout):
            inputs, actions, log_probabilities, values = agent.act(lanes.observations, random)
            steps.append((inputs, actions, log_probabilities, values, *lanes.step(index, actions.tolist())))
        last_values = agent.act(lanes.observations, random)[-1]
        rollout = Rollout(last_values, *(torch.stack(parts) for parts in zip(*steps, strict=True)))
        lanes.tell(rollout.advantages(settings.discount, settings.trace_decay).numpy())
        update(agent, optimiser, rollout, settings)
        if number * NUM_EVALUATIONS // settings.num_updates > (number - 1) * NUM_EVALUATIONS // settings.num_updates:
            before = time.process_time()
            num_episodes = FINAL_EPISODES if number == settings.num_updates else EVALUATION_EPISODES
            success = evaluate(agent, names, num_episodes, pool, number)
            evaluation_seconds += time.process_time() - before
            yield {
                "step": number * settings.batch_size,
                "success": success,
                "draws": dict(lanes.draws),
                "cpu_seconds": time.process_time() - start - evaluation_seconds,
            }


def run(algorithm: str, seed: int, num_steps: int, out: Path) -> list[dict[str, Any]]:
    """Returns the figures of one run, from the folder `out` if it has them."""
    path = out / f"{algorithm}-{seed}-{num_steps}.json"
    if not path.exists():
        names = levels()
        config = variants()[algorithm](num_active_tasks=len(names), seed=seed, use_shared_memory=False)
        with Curriculum(names, config) as curriculum:
            points = list(train(curriculum, seed, Settings(num_steps=num_steps)))
        path.write_text(json.dumps(points), encoding="utf-8")
    return list(json.loads(path.read_text(encoding="utf-8")))


# ── The table ────────────────────────────────────────────────────────────────────────────────────


def mean_success(point: dict[str, Any]) -> float:
    return float(np.mean([*point["success"].values()]))


def mean_area(points: Sequence[dict[str, Any]]) -> float:
    """Returns the area under the mean success over steps, divided by that of an agent that always succeeds."""
    steps, success = [point["step"] for point in points], [mean_success(point) for point in points]
    return float(np.trapezoid([0.0, *success], [0, *steps])) / float(steps[-1])


def interval(values: Sequence[float]) -> str:
    """Returns the mean over seeds with its bootstrap 95 % interval."""
    means = np.random.default_rng(0).choice(values, size=(NUM_RESAMPLES, len(values))).mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return f"{np.mean(values):.3f} ({low:.3f} to {high:.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description="Trains agents on MiniHack's levels with several algorithms.")
    parser.add_argument("--algorithms", nargs="+", choices=list(variants()), default=list(ALGORITHMS))
    parser.add_argument("--seeds", type=int, default=5, help="number of runs per algorithm; their seeds are 0, 1, 2, …")
    parser.add_argument("--steps", type=int, default=400_000, help="environment steps per run")
    parser.add_argument("--out", type=Path, default=Path("curricular-nethack"), help="folder for the runs")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    runs: dict[str, list[list[dict[str, Any]]]] = {name: [] for name in options.algorithms}
    for seed in range(options.seeds):
        for name in options.algorithms:
            runs[name].append(run(name, seed, options.steps, options.out))
    print(f"{len(levels())} levels, {options.steps:,} steps. Success: mean over levels; solved: levels at .5 or more\n")
    print("| algorithm | success at the end | of each seed | area | levels solved | CPU seconds |")
    print("|---|---|---|---|---|---|")
    for name, points in runs.items():
        final = [mean_success(run[-1]) for run in points]
        area = [mean_area(run) for run in points]
        solved = [sum(share >= 0.5 for share in run[-1]["success"].values()) for run in points]
        seconds = np.median([run[-1]["cpu_seconds"] for run in points])
        each = " ".join(f"{value:.3f}" for value in final)
        cells = (name, interval(final), each, interval(area), f"{np.mean(solved):.1f}", f"{seconds:.0f}")
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
