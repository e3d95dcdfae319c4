"""Steps per second of MettaGrid with a curriculum, and with a random choice of the same tasks, in the same run.

The five recipes are those of `tests/wrappers/test_mettagrid.py`. Run in the environment of `make test-metta`.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import mettagrid.builder.envs as eb
import numpy as np
from mettagrid.envs.mettagrid_puffer_env import MettaGridPufferEnv
from mettagrid.simulator import Simulator

import metta.cogworks.curriculum as cc
from curricular import Axis

HEARTS = "game.agent.inventory.initial.heart"
POOL = 64
TURN = 250  # steps: the two take turns, so that other work on the machine slows both


def arena(num_agents: int, length: int) -> Any:
    config = eb.make_arena(num_agents)
    config.game.max_steps = length
    return config


class Walls:
    axes = (Axis("walls", cc.Span(0, 20)),)
    num_tasks = None

    def __init__(self, base: Any) -> None:
        self.base = base

    def sample(self, seeds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return self.axes[0].values.sample(len(seeds), rng)[:, None]

    def label_of(self, seed: int, params: np.ndarray) -> str:
        return "walls"

    def build(self, seed: int, params: np.ndarray) -> Any:
        config = self.base.model_copy(deep=True)
        config.game.map_builder.instance.objects = {"wall": int(params[0])}
        return config


def recipes(base: Any) -> dict[str, Any]:
    mixed = cc.bucketed(base).add_bucket("game.map_builder.width", [25, cc.Span(26, 30)])
    missions = []
    for number in range(150):
        mission = cc.bucketed(base).add_bucket(HEARTS, [0, 1]).add_bucket("game.map_builder.width", [25, 25 + number])
        for item in range(9):
            mission.add_bucket(f"game.agent.initial_stats.item{item}.gained", [0, 1])
        missions.append(mission)
    return {
        "new keys": cc.bucketed(base).add_bucket("game.agent.initial_stats.carbon.gained", [0, 1]).create(),
        "values and spans": mixed.create(),
        "merged": cc.merge([mixed, cc.bucketed(base).add_bucket(HEARTS, [0, 1])]),
        "150 missions": cc.merge(missions),
        "own generator": Walls(base),
    }


def seconds(env: Any, num_steps: int, at_end: Callable[[], None]) -> float:
    """Returns the CPU time of `num_steps` steps; `at_end` is called at each episode's end."""
    actions = np.zeros(env.num_agents, np.int32)
    start = time.process_time()
    for _ in range(num_steps):
        _, _, terminals, truncations, _ = env.step(actions)
        if terminals.all() or truncations.all():
            at_end()
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=4, help="number of agents")
    parser.add_argument("--length", type=int, default=1000, help="steps of an episode")
    parser.add_argument("--episodes", type=int, default=40, help="episodes of each, in turns of 250 steps")
    args = parser.parse_args()
    base = arena(args.agents, args.length)
    num_steps = args.length * args.episodes
    print(f"{'recipe':<18}{'random':>12}{'curriculum':>12}   steps/s, episodes of {args.length} steps")
    for name, tasks in recipes(base).items():
        size = POOL if tasks.num_tasks is None or tasks.num_tasks > POOL else int(tasks.num_tasks)
        config = cc.LearningProgressConfig.default(
            num_active_tasks=size, use_shared_memory=False, score_range="observed"
        )
        curriculum = cc.Curriculum(config, tasks)
        configs = [task.config for task in curriculum.ask(4 * size)]
        rng = np.random.default_rng(0)
        plain = MettaGridPufferEnv(Simulator(), base)
        wrapped = cc.CurriculumEnv(MettaGridPufferEnv(Simulator(), base), curriculum)

        def choose(env: Any = plain, configs: Any = configs, rng: Any = rng) -> None:
            env.set_mg_config(configs[rng.integers(len(configs))])

        plain.reset(seed=0)
        wrapped.reset(seed=0)
        turns = [(seconds(plain, TURN, choose), seconds(wrapped, TURN, lambda: None)) for _ in range(num_steps // TURN)]
        random, own = (sum(column) for column in zip(*turns, strict=True))
        median = statistics.median(second - first for first, second in turns) / TURN * 1e6
        rates = f"{num_steps / random:>12,.0f}{num_steps / own:>12,.0f}"
        print(f"{name:<18}{rates}   CPU time x {own / random:.3f}, {median:.1f} us a step in the median turn")


if __name__ == "__main__":
    main()
