"""Proximal policy optimisation in one file, on tasks that a curriculum chooses; `Lanes` asks and tells the curriculum.

Source: Schulman et al. 2017, *Proximal policy optimization algorithms*, arXiv 1707.06347.
"""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from minigrid.core.actions import Actions
from minigrid.core.constants import OBJECT_TO_IDX
from minigrid.minigrid_env import MiniGridEnv
from torch import Tensor, nn

from .. import Curriculum, Task
from .figures import Point, state_shares
from .sight import VIEW
from .state import SavedTraining
from .tasks import EnvPool, Level

ACTIONS = (Actions.left, Actions.right, Actions.forward, Actions.pickup, Actions.toggle)
"""Actions of the agent: all MiniGrid actions except `drop` and `done`, which no level needs."""

Observation = dict[str, Any]
"""Observation of MiniGrid: "image", (7, 7, 3) uint8 of object, colour and state; "direction", 0 to 3."""


@dataclass(frozen=True)
class Settings:
    """Settings of the training."""

    num_steps: int = 520_000
    """Environment steps, rounded up to whole rollouts."""
    num_lanes: int = 32
    """Number of environments stepped in parallel."""
    rollout: int = 64
    """Number of steps of each lane between two updates."""
    num_epochs: int = 4
    """Number of passes over a rollout."""
    num_minibatches: int = 4
    learning_rate: float = 1e-3
    """Learning rate at the start; decreases linearly to zero."""
    discount: float = 0.99
    trace_decay: float = 0.95
    """λ of the advantage estimate (Schulman et al. 2016, arXiv 1506.02438)."""
    clip: float = 0.2
    """Largest distance of an action's probability ratio from 1 that an update rewards."""
    entropy_weight: float = 0.01
    value_weight: float = 0.5
    max_gradient_norm: float = 0.5
    hidden: int = 128
    """Width of the two layers that policy and value share."""
    num_evaluations: int = 20
    """Number of evaluations, evenly spread over the steps; their episodes count no steps."""
    evaluation_episodes: int = 10
    """Number of episodes per learnable level in an evaluation."""
    final_episodes: int = 50
    """Number of episodes per learnable level in the last evaluation."""

    @property
    def batch_size(self) -> int:
        """Number of steps in a rollout."""
        return self.num_lanes * self.rollout

    @property
    def num_updates(self) -> int:
        """Number of rollouts in the training."""
        return -(-self.num_steps // self.batch_size)


# ── The curriculum ───────────────────────────────────────────────────────────────────────────────


class Lanes:
    """Parallel environments with one task each; when an episode ends, the lane starts the next task."""

    def __init__(self, curriculum: Curriculum[Level], pool: EnvPool, num_lanes: int, seed: int) -> None:
        self.curriculum: Curriculum[Level] = curriculum
        self.pool: EnvPool = pool
        self.rng: np.random.Generator = np.random.default_rng(seed)
        self.draws: Counter[str] = Counter()
        self.successes: Counter[str] = Counter()
        self.steps: Counter[str] = Counter()
        self.tasks: list[Task[Level]] = curriculum.ask(num_lanes)
        self.envs: list[MiniGridEnv] = [pool.take(task.config) for task in self.tasks]
        self.observations: list[Observation] = [self._begin(lane) for lane in range(num_lanes)]

    def step(self, actions: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Takes one step in every lane and updates `observations`.

        Args:
            actions: Index in `ACTIONS` for every lane.

        Returns:
            Rewards, and 1.0 where an episode ended, else 0.0; both of shape (lanes,).
        """
        rewards, ends = list[float](), list[bool]()
        for lane, action in enumerate(actions):
            observation, reward, is_terminated, is_truncated, _ = self.envs[lane].step(ACTIONS[action])
            self.steps[self.tasks[lane].config.name] += 1
            rewards.append(float(reward))
            ends.append(is_terminated or is_truncated)
            self.observations[lane] = self._next_task(lane, is_success=rewards[-1] > 0) if ends[-1] else observation
        return torch.tensor(rewards), torch.tensor(ends, dtype=torch.float32)

    def _next_task(self, lane: int, *, is_success: bool) -> Observation:
        """Tells the result of the lane's task, starts the next task, and returns its first observation."""
        done = self.tasks[lane]
        self.curriculum.update_task_performance(done.task_id, float(is_success))
        self.successes[done.config.name] += is_success
        self.pool.put(done.config, self.envs[lane])

        self.tasks[lane] = self.curriculum.get_task()
        self.envs[lane] = self.pool.take(self.tasks[lane].config)
        return self._begin(lane)

    def _begin(self, lane: int) -> Observation:
        self.draws[self.tasks[lane].config.name] += 1
        return reset(self.envs[lane], seed=int(self.rng.integers(2**31)))

    def state_dict(self) -> dict[str, Any]:
        """Returns the counts, the random state and the ids of the open tasks, whose episodes end with the process."""
        return {
            "counts": [dict(counts) for counts in (self.draws, self.successes, self.steps)],
            "random": self.rng.bit_generator.state,
            "task_ids": [task.task_id for task in self.tasks],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resumes the counts and the random state of `state`, and cancels the tasks that were open then."""
        self.curriculum.cancel(state["task_ids"], "resumed")
        for counts, saved in zip((self.draws, self.successes, self.steps), state["counts"], strict=True):
            counts.update(saved)
        self.rng.bit_generator.state = state["random"]


def reset(env: MiniGridEnv, seed: int) -> Observation:
    """Starts an episode of `env` with `seed` and returns its first observation."""
    observation: Observation = env.reset(seed=seed)[0]
    return observation


# ── The agent ────────────────────────────────────────────────────────────────────────────────────

_NUM_KINDS = 3 * len(OBJECT_TO_IDX)  # objects times three states; colours carry no information in the learnable levels
_NUM_INPUTS = VIEW * VIEW + 1  # cells and direction


def encode(observations: Sequence[Observation]) -> Tensor:
    """Encodes observations as the indices of the ones in a one-hot code, shape (n, 50), int64."""
    images = np.stack([observation["image"] for observation in observations])
    kinds = images[..., 0] + len(OBJECT_TO_IDX) * images[..., 2]
    directions = np.array([[observation["direction"]] for observation in observations])
    inputs = np.concatenate([kinds.reshape(len(images), -1), directions], axis=1)
    return torch.from_numpy(inputs + _NUM_KINDS * np.arange(_NUM_INPUTS))


class ActorCritic(nn.Module):
    """A policy and a value: inputs -> log-probabilities of the actions, shape (n, actions), and values, shape (n,)."""

    @torch.no_grad()
    def act(self, inputs: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Samples actions; returns them with their log-probabilities and the values, each of shape (n,)."""
        log_probabilities, values = self(inputs)
        actions = torch.multinomial(log_probabilities.exp(), 1, generator=random)
        return actions.squeeze(-1), log_probabilities.gather(-1, actions).squeeze(-1), values


class Agent(ActorCritic):
    """Policy and value network with two shared layers and no memory."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        # A matrix times a one-hot code is a sum of its columns.
        self.first: nn.EmbeddingBag = nn.EmbeddingBag(_NUM_INPUTS * _NUM_KINDS, hidden, mode="sum")
        self.second: nn.Linear = nn.Linear(hidden, hidden)
        self.policy: nn.Linear = nn.Linear(hidden, len(ACTIONS))
        self.value: nn.Linear = nn.Linear(hidden, 1)
        nn.init.normal_(self.first.weight, std=(2 / _NUM_INPUTS) ** 0.5)
        for layer, gain in ((self.second, 2**0.5), (self.policy, 0.01), (self.value, 1.0)):
            nn.init.orthogonal_(layer.weight, gain)
            nn.init.zeros_(layer.bias)

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the log-probabilities of the actions, shape (n, 5), and the values, shape (n,).

        Args:
            inputs: Observations from `encode`, shape (n, 50).
        """
        features = torch.tanh(self.second(torch.tanh(self.first(inputs))))
        return self.policy(features).log_softmax(-1), self.value(features).squeeze(-1)


def evaluate(agent: Agent, levels: Sequence[Level], num_episodes: int, pool: EnvPool, seed: int) -> dict[str, float]:
    """Evaluates `agent` on `levels`, with sampled actions as in training.

    Args:
        agent: The agent.
        levels: The levels to play.
        num_episodes: Number of episodes on each level.
        pool: Source of the environments.
        seed: Seed of episodes and actions.

    Returns:
        Level name -> share of the episodes that reach the goal.
    """
    random = torch.Generator().manual_seed(seed)
    playing = [(level, pool.take(level)) for level in levels for _ in range(num_episodes)]
    observations = [reset(env, seed + number) for number, (_, env) in enumerate(playing)]
    num_successes = Counter[str]()
    while playing:
        actions, _, _ = agent.act(encode(observations), random)
        still_playing, observations = [], []
        for (level, env), action in zip(playing, actions.tolist(), strict=True):
            observation, reward, is_terminated, is_truncated, _ = env.step(ACTIONS[action])
            if is_terminated or is_truncated:
                num_successes[level.name] += float(reward) > 0
                pool.put(level, env)
            else:
                still_playing.append((level, env))
                observations.append(observation)
        playing = still_playing
    return {level.name: num_successes[level.name] / num_episodes for level in levels}


# ── The training ─────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Rollout:
    """The experience of all lanes between two updates; tensors of shape (rollout, lanes)."""

    last_values: Tensor  # (lanes,), values of the observations after the last step
    inputs: Tensor  # (rollout, lanes, 50)
    actions: Tensor
    log_probabilities: Tensor
    values: Tensor
    rewards: Tensor
    ends: Tensor  # 1.0 where an episode ended with this step

    def advantages(self, discount: float, trace_decay: float) -> Tensor:
        """Returns generalised advantage estimates (Schulman et al. 2016); a truncated episode counts as ended."""
        advantages = torch.empty_like(self.values)
        next_values, advantage = self.last_values, torch.zeros_like(self.last_values)
        for step in reversed(range(len(self.values))):
            continues = 1 - self.ends[step]
            error = self.rewards[step] + discount * continues * next_values - self.values[step]
            advantage = error + discount * trace_decay * continues * advantage
            advantages[step], next_values = advantage, self.values[step]
        return advantages


def collect(agent: Agent, lanes: Lanes, num_steps: int, random: torch.Generator) -> Rollout:
    """Takes `num_steps` steps in every lane and returns the rollout."""
    steps = []
    for _ in range(num_steps):
        inputs = encode(lanes.observations)
        actions, log_probabilities, values = agent.act(inputs, random)
        rewards, ends = lanes.step(actions.tolist())
        steps.append((inputs, actions, log_probabilities, values, rewards, ends))
    _, _, last_values = agent.act(encode(lanes.observations), random)
    return Rollout(last_values, *(torch.stack(parts) for parts in zip(*steps, strict=True)))


def update(agent: ActorCritic, optimiser: torch.optim.Optimizer, rollout: Rollout, settings: Settings) -> None:
    """Updates `agent` on `rollout`."""
    advantages = rollout.advantages(settings.discount, settings.trace_decay)
    returns = (advantages + rollout.values).flatten()
    advantages, inputs = advantages.flatten(), rollout.inputs.flatten(0, 1)
    actions, old_log_probabilities = rollout.actions.flatten(), rollout.log_probabilities.flatten()
    for _ in range(settings.num_epochs):
        for batch in torch.randperm(len(actions)).chunk(settings.num_minibatches):
            log_probabilities, values = agent(inputs[batch])
            chosen = log_probabilities.gather(-1, actions[batch, None]).squeeze(-1)
            ratio = (chosen - old_log_probabilities[batch]).exp()
            gain = (advantages[batch] - advantages[batch].mean()) / advantages[batch].std().clamp(1e-5)
            clipped = ratio.clamp(1 - settings.clip, 1 + settings.clip)
            policy_loss = -torch.min(ratio * gain, clipped * gain).mean()
            value_loss = (values - returns[batch]).square().mean()
            entropy = -(log_probabilities.exp() * log_probabilities).sum(-1).mean()
            loss = policy_loss + settings.value_weight * value_loss - settings.entropy_weight * entropy
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(agent.parameters(), settings.max_gradient_norm)
            optimiser.step()


def train(
    curriculum: Curriculum[Level],
    goals: Sequence[Level],
    seed: int,
    settings: Settings = Settings(),
    saved: SavedTraining | None = None,
) -> Iterator[Point]:
    """Trains an agent on the tasks of `curriculum`, and yields a point after each update.

    Args:
        curriculum: Chooses the levels; with `saved`, must be the curriculum of `saved`.
        goals: Levels of the evaluations.
        seed: Seed of agent, environments and actions.
        settings: Settings of the training.
        saved: Where the training is saved at each evaluation and resumed from; None: nowhere.
    """
    wall_start, cpu_start = time.perf_counter(), 0.0
    torch.manual_seed(seed)
    random = torch.Generator().manual_seed(seed)
    agent = Agent(settings.hidden)
    optimiser = torch.optim.Adam(agent.parameters(), lr=settings.learning_rate, eps=1e-5, fused=True)
    pool = EnvPool()
    lanes = Lanes(curriculum, pool, settings.num_lanes, seed)
    num_updates = settings.num_updates
    state = None if saved is None else saved.read()
    if state is not None:
        agent.load_state_dict(state["agent"])
        optimiser.load_state_dict(state["optimiser"])
        lanes.load_state_dict(state["lanes"])
        random.set_state(state["random"])
        torch.set_rng_state(state["torch"])
        wall_start -= state["wall_seconds"]
        cpu_start -= state["cpu_seconds"]
    # A saved training resumes at an evaluation, with the counts of that time.
    since: tuple[dict[str, int], dict[str, int]] = ({}, {})
    if state is not None:
        since = dict(lanes.draws), dict(lanes.successes)
    for number in range(1 if state is None else state["number"] + 1, num_updates + 1):
        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * (1 - (number - 1) / num_updates)
        update(agent, optimiser, collect(agent, lanes, settings.rollout, random), settings)

        evaluation = states = None
        if number * settings.num_evaluations // num_updates > (number - 1) * settings.num_evaluations // num_updates:
            num_episodes = settings.final_episodes if number == num_updates else settings.evaluation_episodes
            evaluation = evaluate(agent, goals, num_episodes, pool, seed=number)
            states = state_shares(lanes.draws, lanes.successes, since)
            since = dict(lanes.draws), dict(lanes.successes)
            if saved is not None:
                parts = {"agent": agent.state_dict(), "optimiser": optimiser.state_dict(), "lanes": lanes.state_dict()}
                generators = {"random": random.get_state(), "torch": torch.get_rng_state()}
                times = {
                    "cpu_seconds": time.process_time() - cpu_start,
                    "wall_seconds": time.perf_counter() - wall_start,
                }
                saved.write(number, curriculum, {**parts, **generators, **times})
        yield Point(
            step=number * settings.batch_size,
            draws=dict(lanes.draws),
            successes=dict(lanes.successes),
            steps=dict(lanes.steps),
            evaluation=evaluation,
            states=states,
            cpu_seconds=time.process_time() - cpu_start,
            wall_seconds=time.perf_counter() - wall_start,
        )
