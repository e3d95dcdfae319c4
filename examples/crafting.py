"""PPO on a crafting world, most goals of which can be impossible: the curriculum chooses the goal of each episode.

    python examples/crafting.py
    python examples/crafting.py --algorithm uniform --useless 0.9 --steps 1500000

A small grid holds a forest, a camp, rocks, a seam and a mine, where things from wood to diamond can be made. An episode
has one goal, a thing to make, and ends when the thing is made or the time is over. All worlds are NumPy arrays and take
their steps together. The class `Player` holds everything that the curriculum adds to the training.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from curricular import (
    Curriculum,
    CurriculumConfig,
    LearnabilityConfig,
    LearningProgressConfig,
    NoiseAwareConfig,
    PrioritizedLevelReplayConfig,
    UniformConfig,
    merge,
    single_task,
)
from curricular.regrets import positive_value_loss

ALGORITHMS: Mapping[str, Callable[..., CurriculumConfig]] = {
    "uniform": UniformConfig,
    "learning-progress": LearningProgressConfig.default,
    "noise-aware": NoiseAwareConfig.recommended,
    "learnability": LearnabilityConfig,
    "level-replay": PrioritizedLevelReplayConfig,
}

# ── The world ────────────────────────────────────────────────────────────────────────────────────

PLACES = ("forest", "camp", "rocks", "seam", "mine")


@dataclass(frozen=True)
class Recipe:
    """How a thing is made: the place, the things it uses up, and the things it needs but keeps."""

    place: str
    uses: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()


RECIPES = {
    "wood": Recipe("forest"),
    "table": Recipe("camp", uses=("wood",)),
    "pick": Recipe("camp", uses=("wood",), needs=("table",)),
    "stone": Recipe("rocks", needs=("pick",)),
    "stone pick": Recipe("camp", uses=("wood", "stone"), needs=("table",)),
    "furnace": Recipe("camp", uses=("stone",), needs=("table", "stone pick")),
    "coal": Recipe("seam", needs=("pick",)),
    "iron": Recipe("mine", needs=("stone pick",)),
    "iron pick": Recipe("camp", uses=("wood", "coal", "iron"), needs=("table", "furnace")),
    "diamond": Recipe("mine", needs=("iron pick",)),
}
THINGS = tuple(RECIPES)

SIZE = 3
"""Side of the grid, in cells."""
MAX_STEPS = 80
MOVES = np.array([[-1, 0], [1, 0], [0, -1], [0, 1], [0, 0]])
WORK = 4
"""Action that makes a thing: the last in `THINGS` of those that can be made in this place."""

USES, NEEDS = (
    np.array([[thing in part(recipe) for thing in THINGS] for recipe in RECIPES.values()])
    for part in (lambda recipe: recipe.uses, lambda recipe: recipe.uses + recipe.needs)
)
IS_MADE_AT = np.array([[recipe.place == place for place in PLACES] for recipe in RECIPES.values()])
CELLS = np.stack(np.divmod(np.arange(SIZE**2), SIZE), axis=1)

Lanes = NDArray[np.int64]


class Worlds:
    """`num_lanes` parallel worlds. A goal >= `len(THINGS)` is impossible: its thing does not exist."""

    def __init__(self, num_lanes: int, num_goals: int, seed: int) -> None:
        self.num_goals = num_goals
        self.rng = np.random.default_rng(seed)
        self.agents = np.zeros((num_lanes, 2), np.int64)
        self.places = np.zeros((num_lanes, len(PLACES), 2), np.int64)
        self.has = np.zeros((num_lanes, len(THINGS)), np.bool_)
        self.goals = np.zeros(num_lanes, np.int64)
        self.clocks = np.zeros(num_lanes, np.int64)

    def begin(self, lanes: Lanes, goals: Lanes) -> None:
        """Starts an episode in each of `lanes`: agent and places on different cells, and nothing made yet."""
        order = self.rng.random((len(lanes), SIZE**2)).argsort(axis=1)
        self.agents[lanes] = CELLS[order[:, 0]]
        self.places[lanes] = CELLS[order[:, 1 : 1 + len(PLACES)]]
        self.has[lanes] = False
        self.goals[lanes] = goals
        self.clocks[lanes] = 0

    def observe(self) -> Tensor:
        """Returns goal, direction to each place, whether the agent is there, things made, and time: (lanes, inputs)."""
        directions = np.sign(self.places - self.agents[:, None])
        is_here = ~directions.any(axis=-1)
        parts = [self.goals[:, None], directions.reshape(len(directions), -1), is_here, self.has]
        clocks = self.clocks[:, None] / MAX_STEPS
        return torch.from_numpy(np.concatenate([*parts, clocks], axis=1, dtype=np.float32))

    def step(self, actions: Lanes) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Takes one step; returns which lanes reached their goal and which episodes ended, both of shape (lanes,).

        The caller must begin a new episode in the lanes that ended.
        """
        self.agents = (self.agents + MOVES[actions]).clip(0, SIZE - 1)
        self.clocks += 1
        is_here = (self.places == self.agents[:, None]).all(axis=-1) & (actions == WORK)[:, None]
        can_make = (is_here @ IS_MADE_AT.T) & ~self.has & ~(~self.has @ NEEDS.T)
        made = len(THINGS) - 1 - can_make[:, ::-1].argmax(axis=1)
        (makers,) = can_make.any(axis=1).nonzero()
        self.has[makers] &= ~USES[made[makers]]
        self.has[makers, made[makers]] = True
        successes = np.zeros(len(actions), np.bool_)
        successes[makers] = made[makers] == self.goals[makers]
        return successes, successes | (self.clocks == MAX_STEPS)


# ── The curriculum ───────────────────────────────────────────────────────────────────────────────


def create_curriculum(algorithm: str, seed: int, useless: float) -> Curriculum[int]:
    """Returns the curriculum over all things and the impossible goals, which make up the share `useless`."""
    num_goals = round(len(THINGS) / (1 - useless))
    names = [*THINGS, *("useless" for _ in range(num_goals - len(THINGS)))]
    generator = merge([single_task(goal, label=name) for goal, name in enumerate(names)])
    return Curriculum(ALGORITHMS[algorithm](num_active_tasks=num_goals, seed=seed, use_shared_memory=False), generator)


class Player:
    """Plays the goals that the curriculum chooses, and tells their results."""

    def __init__(self, curriculum: Curriculum[int], worlds: Worlds) -> None:
        self.curriculum = curriculum
        self.worlds = worlds
        self.task_ids = np.zeros(len(worlds.goals), np.int64)
        self.num_episodes = np.zeros(worlds.num_goals, np.int64)
        self.begin(np.arange(len(worlds.goals)))

    def begin(self, lanes: Lanes) -> None:
        """Asks for a goal for each of `lanes`, where an episode begins."""
        tasks = self.curriculum.ask(len(lanes))
        self.task_ids[lanes] = [task.task_id for task in tasks]
        self.worlds.begin(lanes, np.array([task.config for task in tasks], np.int64))
        np.add.at(self.num_episodes, self.worlds.goals[lanes], 1)

    def step(self, actions: Lanes) -> tuple[Lanes, NDArray[np.bool_], NDArray[np.bool_]]:
        """Takes one step; returns the ids of the played tasks, which of them succeeded, and which ended."""
        task_ids = self.task_ids.copy()
        successes, ends = self.worlds.step(actions)
        if ends.any():
            self.begin(ends.nonzero()[0])
        return task_ids, successes, ends

    def tell(self, rollout: "Rollout", advantages: Tensor) -> None:
        """Tells the results of the episodes that ended in a rollout; some algorithms also use the regrets."""
        ends = rollout.ends.numpy() > 0
        regrets = positive_value_loss(advantages.numpy(), ends)
        self.curriculum.tell(rollout.task_ids[ends], rollout.rewards.numpy()[ends], regrets=regrets)


# ── The agent ────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Settings:
    """Settings of PPO (Schulman et al. 2017, arXiv 1707.06347)."""

    num_lanes: int = 128
    rollout: int = 32  # steps of each lane between two updates
    num_epochs: int = 4
    num_minibatches: int = 4
    learning_rate: float = 4e-3  # at the start; decreases linearly to zero
    discount: float = 0.99
    trace_decay: float = 0.95
    clip: float = 0.2
    entropy_weight: float = 0.01
    value_weight: float = 0.5
    max_gradient_norm: float = 0.5
    hidden: int = 64
    num_evaluations: int = 20
    evaluation_episodes: int = 20  # per thing


class Agent(nn.Module):
    """Policy and value network with two shared layers."""

    def __init__(self, num_goals: int, num_inputs: int, hidden: int) -> None:
        super().__init__()
        self.goal = nn.Embedding(num_goals, hidden)  # a matrix times a one-hot code is one of its columns
        self.first = nn.Linear(num_inputs - 1, hidden)
        self.second = nn.Linear(hidden, hidden)
        self.policy = nn.Linear(hidden, len(MOVES))
        self.value = nn.Linear(hidden, 1)
        nn.init.normal_(self.goal.weight, std=0.1)
        for layer, gain in ((self.first, 2**0.5), (self.second, 2**0.5), (self.policy, 0.01), (self.value, 1.0)):
            nn.init.orthogonal_(layer.weight, gain)
            nn.init.zeros_(layer.bias)

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        features = torch.relu(self.first(inputs[:, 1:]) + self.goal(inputs[:, 0].long()))
        features = torch.relu(self.second(features))
        return self.policy(features).log_softmax(-1), self.value(features).squeeze(-1)

    @torch.no_grad()
    def act(self, inputs: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Samples actions; returns them with their log-probabilities and the values."""
        log_probabilities, values = self(inputs)
        actions = torch.multinomial(log_probabilities.exp(), 1, generator=random)
        return actions.squeeze(-1), log_probabilities.gather(-1, actions).squeeze(-1), values


@dataclass(frozen=True)
class Rollout:
    """The experience of all lanes between two updates: tensors of shape (steps, lanes), and the played tasks' ids."""

    task_ids: NDArray[np.int64]
    last_values: Tensor  # (lanes,)
    inputs: Tensor  # (steps, lanes, inputs)
    actions: Tensor
    log_probabilities: Tensor
    values: Tensor
    rewards: Tensor
    ends: Tensor

    def advantages(self, discount: float, trace_decay: float) -> Tensor:
        """Returns generalised advantage estimates (Schulman et al. 2016, arXiv 1506.02438)."""
        advantages = torch.empty_like(self.values)
        next_values, advantage = self.last_values, torch.zeros_like(self.last_values)
        for step in reversed(range(len(self.values))):
            continues = 1 - self.ends[step]
            error = self.rewards[step] + discount * continues * next_values - self.values[step]
            advantage = error + discount * trace_decay * continues * advantage
            advantages[step], next_values = advantage, self.values[step]
        return advantages


def collect(agent: Agent, player: Player, num_steps: int, random: torch.Generator) -> Rollout:
    task_ids, steps = [], []
    for _ in range(num_steps):
        inputs = player.worlds.observe()
        actions, log_probabilities, values = agent.act(inputs, random)
        played, successes, ends = player.step(actions.numpy())
        task_ids.append(played)
        rewards, ends = (torch.from_numpy(part.astype(np.float32)) for part in (successes, ends))
        steps.append((inputs, actions, log_probabilities, values, rewards, ends))
    _, _, last_values = agent.act(player.worlds.observe(), random)
    return Rollout(np.stack(task_ids), last_values, *(torch.stack(parts) for parts in zip(*steps, strict=True)))


def update(
    agent: Agent, optimiser: torch.optim.Optimizer, rollout: Rollout, advantages: Tensor, settings: Settings
) -> None:
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


def evaluate(agent: Agent, num_goals: int, num_episodes: int, seed: int) -> NDArray[np.float64]:
    """Returns the share of `num_episodes` in which each thing is made, shape (things,); actions are sampled."""
    random = torch.Generator().manual_seed(seed)
    goals = np.repeat(np.arange(len(THINGS)), num_episodes)
    worlds = Worlds(len(goals), num_goals, seed)
    worlds.begin(np.arange(len(goals)), goals)
    successes, is_over = np.zeros(len(goals), np.bool_), np.zeros(len(goals), np.bool_)
    for _ in range(MAX_STEPS):
        actions, _, _ = agent.act(worlds.observe(), random)
        is_success, ends = worlds.step(actions.numpy())
        successes |= is_success & ~is_over
        is_over |= ends
    return successes.reshape(len(THINGS), num_episodes).mean(axis=1)


@dataclass(frozen=True)
class Point:
    """The state of a run after `step` environment steps."""

    step: int
    success: list[float]  # per thing, in an evaluation
    num_episodes: list[int]  # per goal, in training since the start
    cpu_seconds: float


def train(curriculum: Curriculum[int], seed: int, num_steps: int, settings: Settings = Settings()) -> Iterator[Point]:
    """Trains an agent on the goals of `curriculum`; yields a point per evaluation, whose episodes count no steps."""
    start = time.process_time()
    torch.manual_seed(seed)
    random = torch.Generator().manual_seed(seed)
    num_goals = curriculum.config.num_active_tasks
    player = Player(curriculum, Worlds(settings.num_lanes, num_goals, seed))
    agent = Agent(num_goals, player.worlds.observe().shape[1], settings.hidden)
    optimiser = torch.optim.Adam(agent.parameters(), lr=settings.learning_rate, eps=1e-5, fused=True)
    num_updates = -(-num_steps // (settings.num_lanes * settings.rollout))
    for number in range(1, num_updates + 1):
        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * (1 - (number - 1) / num_updates)
        rollout = collect(agent, player, settings.rollout, random)
        advantages = rollout.advantages(settings.discount, settings.trace_decay)
        player.tell(rollout, advantages)
        update(agent, optimiser, rollout, advantages, settings)
        if number * settings.num_evaluations // num_updates > (number - 1) * settings.num_evaluations // num_updates:
            success = evaluate(agent, num_goals, settings.evaluation_episodes, seed=number)
            yield Point(
                step=number * settings.num_lanes * settings.rollout,
                success=success.tolist(),
                num_episodes=player.num_episodes.tolist(),
                cpu_seconds=time.process_time() - start,
            )


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Trains an agent by PPO on a crafting world whose goals a curriculum chooses."
    )
    parser.add_argument(
        "--algorithm", choices=ALGORITHMS, default="noise-aware", help="algorithm that chooses the goals"
    )
    parser.add_argument("--useless", type=float, default=0.5, help="share of impossible goals, below 1")
    parser.add_argument("--steps", type=int, default=250_000, help="environment steps")
    parser.add_argument("--seed", type=int, default=0, help="seed of agent, worlds and curriculum")
    options = parser.parse_args()
    torch.set_num_threads(1)  # more threads slow a small network down
    with create_curriculum(options.algorithm, options.seed, options.useless) as curriculum:
        print("success on each thing, and share of all episodes so far with an impossible goal\n")
        print(f"{'steps':>9}" + "".join(f"{thing:>11}" for thing in THINGS) + f"{'useless':>11}")
        for point in train(curriculum, options.seed, options.steps, Settings(num_evaluations=10)):
            num_useless = sum(point.num_episodes[len(THINGS) :])
            shares = [*point.success, num_useless / sum(point.num_episodes)]
            print(f"{point.step:>9,}" + "".join(f"{share:>11.0%}" for share in shares), flush=True)


if __name__ == "__main__":
    main()
