"""Trains agents by PPO on the achievements of Craftax-Classic as goals, with several algorithms as the curriculum.

    make bench-craftax
    make bench-craftax ARGS="--algorithms uniform noise-aware --seeds 2 --steps 200000"

A task is one of the game's 22 achievements (Hafner 2021, arXiv 2109.06780; Matthews et al. 2024, arXiv 2402.16801). The
agent is told which ("Simon says", Kanitscheider et al. 2021, arXiv 2106.14876) and gets the reward 1 once it achieves
it; that, its death or `MAX_STEPS` steps end the episode. Runs stay in the folder `--out` and are reused.
"""

import os

# One thread, for measurements on a machine that others use too.
os.environ.update(OMP_NUM_THREADS="1", JAX_PLATFORMS="cpu")
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import argparse
import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import jax
import numpy as np
import torch
from craftax.craftax_classic.constants import Achievement, Action
from craftax.craftax_classic.envs.craftax_symbolic_env import CraftaxClassicSymbolicEnvNoAutoReset
from jax import numpy as jnp
from numpy.typing import NDArray
from over_seeds import area, interval
from torch import Tensor, nn

from curricular import Curriculum
from curricular.algorithms.registry import variants
from curricular.demo.figures import state_shares
from curricular.demo.ppo import ActorCritic, Rollout, Settings, update
from curricular.regrets import positive_value_loss

ALGORITHMS = ("uniform", "noise-aware", "level-replay")
GOALS = [achievement.name.lower() for achievement in Achievement]
MAX_STEPS = 100
"""Largest length of an episode."""
NUM_LANES = 6 * len(GOALS)
NUM_BATCHES = 8
"""Number of batches of `NUM_LANES` worlds that a run trains on; evaluations use others."""
NUM_EVALUATIONS, FINAL_PASSES = 5, 4
"""Number of evaluations, and of passes in the last one; a pass plays six episodes of each goal."""
SETTINGS = {"num_lanes": NUM_LANES, "rollout": 32, "num_minibatches": 8, "learning_rate": 2e-3, "hidden": 128}

# ── The worlds ───────────────────────────────────────────────────────────────────────────────────

ENV = CraftaxClassicSymbolicEnvNoAutoReset()
PARAMS = ENV.default_params


@jax.jit
def generate(seed: int) -> Any:
    """Returns `NUM_LANES` new worlds."""
    states = jax.vmap(ENV.reset_env, (0, None))(jax.random.split(jax.random.key(seed), NUM_LANES), PARAMS)[1]
    return jax.tree.map(lambda part: jnp.asarray(part, part.dtype), states)  # a weak type would compile `advance` twice


@jax.jit
def observe(states: Any) -> jax.Array:
    """Returns what the agents see, with the share of the time that is over, shape (lanes, inputs - 1)."""
    return jnp.column_stack([jax.vmap(ENV.get_obs)(states), states.timestep / MAX_STEPS])


@jax.jit
def advance(key: jax.Array, states: Any, actions: jax.Array, goals: jax.Array, bank: Any) -> Any:
    """Takes one step; returns the next key, the states, which lanes achieved their goal and which episodes ended.

    Where an episode ended, the next begins in a world of `bank`.
    """
    key, of_steps, of_worlds = jax.random.split(key, 3)
    keys = jax.random.split(of_steps, NUM_LANES)
    _, states, _, is_over, _ = jax.vmap(ENV.step_env, (0, 0, 0, None))(keys, states, actions, PARAMS)
    successes = states.achievements[jnp.arange(NUM_LANES), goals]
    ends = successes | is_over | (states.timestep >= MAX_STEPS)
    picks = jax.random.randint(of_worlds, (NUM_LANES,), 0, len(bank.timestep))

    def replaced(worlds: jax.Array, state: jax.Array) -> jax.Array:
        return jnp.where(ends.reshape(-1, *[1] * (state.ndim - 1)), worlds[picks], state)

    return key, jax.tree.map(replaced, bank, states), successes, ends


class Worlds:
    """Worlds that take their steps together; each has a goal, given by its number."""

    def __init__(self, seeds: Sequence[int], goals: NDArray[np.int64]) -> None:
        batches = [generate(seed) for seed in seeds]
        self._bank = jax.tree.map(lambda *parts: jnp.concatenate(parts), *batches)
        self._states, self._key = batches[0], jax.random.key(seeds[0])
        self.goals = goals

    def observe(self) -> Tensor:
        """Returns goals and what the agents see, shape (lanes, inputs)."""
        return torch.from_numpy(np.column_stack([self.goals, observe(self._states)]).astype(np.float32))

    def step(self, actions: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Takes one step; returns which lanes achieved their goal and which episodes ended."""
        self._key, self._states, *results = advance(self._key, self._states, actions, self.goals, self._bank)
        successes, ends = (np.asarray(result) for result in results)
        return successes, ends


# ── The agent ────────────────────────────────────────────────────────────────────────────────────


class Agent(ActorCritic):
    """Policy and value network with two shared layers and no memory."""

    def __init__(self, num_inputs: int, hidden: int) -> None:
        super().__init__()
        self.goal = nn.Embedding(len(GOALS), hidden)  # a matrix times a one-hot code is one of its columns
        self.first = nn.Linear(num_inputs - 1, hidden)
        self.second = nn.Linear(hidden, hidden)
        self.policy = nn.Linear(hidden, len(Action))
        self.value = nn.Linear(hidden, 1)
        for layer, gain in ((self.first, 2**0.5), (self.second, 2**0.5), (self.policy, 0.01), (self.value, 1.0)):
            nn.init.orthogonal_(layer.weight, gain)
            nn.init.zeros_(layer.bias)

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        features = torch.relu(self.first(inputs[:, 1:]) + self.goal(inputs[:, 0].long()))
        features = torch.relu(self.second(features))
        return self.policy(features).log_softmax(-1), self.value(features).squeeze(-1)


def evaluate(agent: Agent, num_passes: int) -> dict[str, float]:
    """Returns the share of episodes in which each goal is achieved, with sampled actions as in training."""
    random, goals = torch.Generator().manual_seed(0), np.arange(NUM_LANES) % len(GOALS)
    num_successes = np.zeros(len(GOALS))
    for number in range(num_passes):
        worlds = Worlds([1_000_000 + number], goals)
        is_over = np.zeros(NUM_LANES, np.bool_)
        for _ in range(MAX_STEPS):
            actions, _, _ = agent.act(worlds.observe(), random)
            successes, ends = worlds.step(actions.numpy())
            np.add.at(num_successes, goals, successes & ~is_over)
            is_over |= ends
    return dict(zip(GOALS, (num_successes * len(GOALS) / (NUM_LANES * num_passes)).tolist(), strict=True))


# ── The training ─────────────────────────────────────────────────────────────────────────────────


class Player:
    """Plays the goals that the curriculum chooses, and tells their results."""

    def __init__(self, curriculum: Curriculum[str], seed: int) -> None:
        self.curriculum = curriculum
        self.task_ids = np.zeros(NUM_LANES, np.int64)
        seeds = range(seed * NUM_BATCHES, (seed + 1) * NUM_BATCHES)
        self.worlds = Worlds(seeds, np.zeros(NUM_LANES, np.int64))
        self.draws, self.successes = Counter[str](), Counter[str]()
        self.ask(np.arange(NUM_LANES))

    def ask(self, lanes: NDArray[np.int64]) -> None:
        """Asks for the next goal of each of `lanes`."""
        tasks = self.curriculum.ask(len(lanes))
        self.task_ids[lanes] = [task.task_id for task in tasks]
        self.worlds.goals[lanes] = [GOALS.index(task.config) for task in tasks]

    def step(self, actions: Tensor) -> tuple[NDArray[np.int64], Tensor, Tensor]:
        """Takes one step; returns the ids of the played tasks, the rewards, and 1.0 where an episode ended."""
        task_ids = self.task_ids.copy()
        successes, ends = self.worlds.step(actions.numpy())
        lanes = ends.nonzero()[0]
        if len(lanes):
            self.draws.update(GOALS[goal] for goal in self.worlds.goals[lanes])
            self.successes.update(GOALS[goal] for goal in self.worlds.goals[successes])
            self.ask(lanes)
        return task_ids, *(torch.from_numpy(part.astype(np.float32)) for part in (successes, ends))

    def tell(self, task_ids: NDArray[np.int64], rollout: Rollout, advantages: Tensor) -> None:
        """Tells the results of the episodes that ended in a rollout; some algorithms also use the regrets."""
        ends = rollout.ends.numpy() > 0
        regrets = positive_value_loss(advantages.numpy(), ends)
        self.curriculum.tell(task_ids[ends], rollout.rewards.numpy()[ends], regrets=regrets)


def train(curriculum: Curriculum[str], seed: int, settings: Settings) -> Iterator[dict[str, Any]]:
    """Trains an agent on the goals of `curriculum`; yields a point per evaluation, whose episodes count no steps."""
    torch.manual_seed(seed)
    random, player = torch.Generator().manual_seed(seed), Player(curriculum, seed)
    agent = Agent(player.worlds.observe().shape[1], settings.hidden)
    optimiser = torch.optim.Adam(agent.parameters(), lr=settings.learning_rate, eps=1e-5, fused=True)
    cpu_seconds, since = 0.0, (dict[str, int](), dict[str, int]())
    for number in range(1, settings.num_updates + 1):
        start = time.process_time()
        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * (1 - (number - 1) / settings.num_updates)
        task_ids, steps = [], []
        for _ in range(settings.rollout):
            inputs = player.worlds.observe()
            actions, log_probabilities, values = agent.act(inputs, random)
            played, rewards, ends = player.step(actions)
            task_ids.append(played)
            steps.append((inputs, actions, log_probabilities, values, rewards, ends))
        last_values = agent.act(player.worlds.observe(), random)[-1]
        rollout = Rollout(last_values, *(torch.stack(parts) for parts in zip(*steps, strict=True)))
        player.tell(np.stack(task_ids), rollout, rollout.advantages(settings.discount, settings.trace_decay))
        update(agent, optimiser, rollout, settings)
        cpu_seconds += time.process_time() - start
        if number * NUM_EVALUATIONS // settings.num_updates > (number - 1) * NUM_EVALUATIONS // settings.num_updates:
            yield {
                "step": number * settings.batch_size,
                "success": evaluate(agent, FINAL_PASSES if number == settings.num_updates else 1),
                "draws": dict(player.draws),
                "successes": dict(player.successes),
                "states": state_shares(player.draws, player.successes, since),
                "cpu_seconds": cpu_seconds,
            }
            since = dict(player.draws), dict(player.successes)


def run(algorithm: str, seed: int, num_steps: int, out: Path) -> list[dict[str, Any]]:
    """Returns the points of one run, from the folder `out` if it has them."""
    path = out / f"{algorithm}-{seed}-{num_steps}.json"
    if not path.exists():
        config = variants()[algorithm](num_active_tasks=len(GOALS), seed=seed, use_shared_memory=False)
        with Curriculum(GOALS, config) as curriculum:
            points = list(train(curriculum, seed, Settings(num_steps=num_steps, **SETTINGS)))
        path.write_text(json.dumps(points), encoding="utf-8")
    return list(json.loads(path.read_text(encoding="utf-8")))


# ── The tables ───────────────────────────────────────────────────────────────────────────────────

Runs = dict[str, list[list[dict[str, Any]]]]
"""Algorithm -> its runs, as `run` returns them."""


def mean_success(point: dict[str, Any]) -> float:
    return mean(point["success"].values())


def mean_area(points: Sequence[dict[str, Any]]) -> float:
    """Returns the area under the mean success over steps, divided by that of an agent that always succeeds."""
    steps, success = [point["step"] for point in points], [mean_success(point) for point in points]
    return area(steps, success)


def mean_states(points: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Returns the share of a run's draws on goals in each state, by the training between two evaluations."""
    ends = [0, *(sum(point["draws"].values()) for point in points)]
    weights = np.diff(ends) / ends[-1]
    return {state: float(weights @ [point["states"][state] for point in points]) for state in points[0]["states"]}


def print_table(heading: str, rows: Sequence[Sequence[str]]) -> None:
    print(f"\n| {heading} |\n|{'---|' * len(rows[0])}")
    for row in rows:
        print(f"| {' | '.join(row)} |")


def print_tables(runs: Runs) -> None:
    rows = []
    for name, seeds in runs.items():
        final = [mean_success(points[-1]) for points in seeds]
        each = " ".join(f"{value:.3f}" for value in final)
        areas = interval([mean_area(points) for points in seeds], 3)
        found = " ".join(str(sum(count > 0 for count in points[-1]["successes"].values())) for points in seeds)
        seconds = np.median([points[-1]["cpu_seconds"] for points in seeds])
        rows.append((name, interval(final, 3), each, areas, found, f"{seconds:.0f}"))
    print_table("algorithm | success at the end | of each seed | area | goals achieved in training | CPU seconds", rows)
    shares = [
        (name, *(f"{mean(values):.2f}" for values in zip(*(mean_states(run).values() for run in seeds), strict=True)))
        for name, seeds in runs.items()
    ]
    print_table(f"share of draws | {' | '.join(next(iter(runs.values()))[0][0]['states'])}", shares)
    goals = [
        (goal, *(f"{mean(run[-1]['success'][goal] for run in seeds):.2f}" for seeds in runs.values()))
        for goal in GOALS
        if any(run[-1][part].get(goal) for part in ("successes", "success") for seeds in runs.values() for run in seeds)
    ]
    print_table(f"goal | {' | '.join(runs)}", goals)


def main() -> None:
    parser = argparse.ArgumentParser(description="Trains agents on goals of Craftax-Classic with several algorithms.")
    parser.add_argument("--algorithms", nargs="+", choices=list(variants()), default=list(ALGORITHMS))
    parser.add_argument("--seeds", type=int, default=5, help="number of runs per algorithm; their seeds are 0, 1, 2, …")
    parser.add_argument("--steps", type=int, default=250_000, help="environment steps per run")
    parser.add_argument("--out", type=Path, default=Path("curricular-craftax"), help="folder for the runs")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    runs: Runs = {name: [] for name in options.algorithms}
    for seed in range(options.seeds):  # by seed, so that an interrupted study has all algorithms
        for name in options.algorithms:
            runs[name].append(run(name, seed, options.steps, options.out))
    num_steps = next(iter(runs.values()))[0][-1]["step"]
    print(f"{len(GOALS)} goals, {num_steps:,} steps. Success: mean over all goals. The last table has the success on")
    print("each goal at the end, without the goals that no run ever achieved.")
    print_tables(runs)


if __name__ == "__main__":
    main()
