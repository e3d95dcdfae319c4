"""A recipe for MettaGrid: a merged set of two arenas with buckets, played by agents that move at random.

Replace `act` by your policy; the rest is what a training loop with PufferLib does.
"""

import logging

import mettagrid.builder.envs as eb
import numpy as np
from mettagrid.config.mettagrid_config import MettaGridConfig
from mettagrid.envs.mettagrid_puffer_env import MettaGridPufferEnv
from mettagrid.simulator import Simulator

from curricular import Curriculum, NoiseAwareConfig, Span, bucketed, merge
from curricular.wrappers.mettagrid import CurriculumEnv

NUM_AGENTS = 4
NUM_STEPS = 20_000
REPORT_INTERVAL = 50  # episodes

logging.getLogger("curricular").setLevel(logging.WARNING)  # importing MettaGrid shows the log from INFO on


def arena(label: str, walls: int) -> MettaGridConfig:
    """Returns an arena that pays an agent for the hearts that it has."""
    config = eb.make_arena(NUM_AGENTS)
    config.label = label
    config.game.map_builder.instance.objects = {"wall": walls}
    config.game.max_steps = 100
    return config


def act(rng: np.random.Generator, env: CurriculumEnv) -> np.ndarray:
    return rng.integers(env.single_action_space.n, size=env.num_agents).astype(np.int32)


def main() -> None:
    hearts = "game.agent.inventory.initial.heart"  # a key that is not there yet: agents begin without hearts
    sparse = bucketed(arena("sparse", walls=10), {hearts: [0, 1, 2], "game.map_builder.width": [25, Span(30, 40)]})
    dense = bucketed(arena("dense", walls=80), {hearts: [0, Span(3, 9)]})
    config = NoiseAwareConfig(num_active_tasks=64, score_range="observed")
    curriculum = Curriculum(merge([sparse, dense], weights=[1, 1]), config)

    env = MettaGridPufferEnv(Simulator(), arena("sparse", walls=10))
    env = CurriculumEnv(env, curriculum, stats_interval=REPORT_INTERVAL)
    rng = np.random.default_rng(0)
    env.reset(seed=0)
    for _ in range(NUM_STEPS):
        *_, infos = env.step(act(rng, env))
        for info in infos:
            if "stats" in info.get("curriculum", {}):
                stats = info["curriculum"]["stats"]
                print(f"{stats['num_completed']:.0f} episodes, mean score {stats['score/mean']:.2f}")
    env.close()


if __name__ == "__main__":
    main()
