"""Every example runs, and `examples/README.md` says what each is for."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .helpers import TIMEOUT

EXAMPLES = Path(__file__).parents[1] / "examples"
SCRIPTS = sorted(path.name for path in EXAMPLES.glob("*.py"))
ELSEWHERE = {
    "torch_distributed.py",  # tests/test_distributed.py runs it, and kills it
    # What the tests of trainers and clusters run, in environments of their own: other libraries write to stderr.
    *("cluster_kills.py", "grpo_trl.py", "ray_train.py", "rllib_cluster.py", "rllib_ppo.py"),
}

ARGUMENTS = {
    "crafting.py": ["--steps", "20000"],
    "jax_level_replay.py": ["--calls", "2"],
    "minigrid_levels.py": ["--steps", "4000"],
    "pettingzoo_tag.py": ["--episodes", "100"],
    "ppo.py": ["--steps", "4096"],
    "ppo_plain.py": ["--steps", "2048"],
    "sb3_ppo.py": ["--steps", "512"],
    "self_play.py": ["--episodes", "2000"],
    "torchrl_ppo.py": ["--rollouts", "1"],
}
"""What makes a run shorter than it is by default."""

pytest.importorskip("gymnasium")

NEEDS = {
    "crafting.py": "torch",
    "jax_level_replay.py": "jax",
    "minigrid_levels.py": "minigrid",
    "mettagrid_recipe.py": "mettagrid",
    "pettingzoo_tag.py": "mpe2",
    "ppo.py": "minigrid",
    "ppo_plain.py": "minigrid",
    "sb3_ppo.py": "stable_baselines3",
    "torchrl_ppo.py": "torchrl",
}
"""What an example cannot run without."""


@pytest.mark.parametrize("name", sorted({*SCRIPTS} - ELSEWHERE))
def test_it_runs_and_says_what_the_curriculum_did(name, tmp_path):
    pytest.importorskip(NEEDS.get(name, "gymnasium"), reason="see examples/README.md")
    command = [sys.executable, "-W", "error", EXAMPLES / name, *ARGUMENTS.get(name, [])]
    environment = {"OMP_NUM_THREADS": "1", **os.environ}  # other tests have the other cores
    out = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=TIMEOUT, cwd=tmp_path, env=environment
    )
    assert out.returncode == 0, out.stderr
    assert "episodes" in out.stdout
    assert out.stderr == ""
    assert not list(tmp_path.iterdir())


def test_the_readme_lists_every_example():
    assert SCRIPTS
    readme = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"\]\((\w+\.py)\)", readme)) == SCRIPTS
