"""A session works inside what people start their environments with."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from curricular import Curriculum
from curricular.backends import session

from .actors import EPISODE_LENGTH, MakeEnv
from .processes import check_accounts, config

NUM_ENVS = 2
NUM_STEPS = 60


@pytest.fixture(params=["private", "named"])
def curriculum(request):
    with Curriculum(config(None if request.param == "private" else "shared")) as made:
        yield made


def check(curriculum, num_episodes=NUM_ENVS * (NUM_STEPS // (EPISODE_LENGTH + 1))):
    stats = check_accounts(curriculum)
    assert stats["num_pending"] <= NUM_ENVS
    assert stats["num_completed"] + stats["num_stale"] >= num_episodes


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_session_works_in_gymnasiums_async_vector_env(curriculum, method):
    is_wrapped = method != "fork"
    envs = gymnasium.vector.AsyncVectorEnv([MakeEnv(curriculum, is_wrapped)] * NUM_ENVS, context=method)
    envs.reset(seed=0)
    for _ in range(NUM_STEPS):
        envs.step(np.zeros(NUM_ENVS, np.int64))
    envs.close()
    check(curriculum)


@pytest.mark.parametrize("method", ["fork", "forkserver"])  # it pickles for "spawn" as for "forkserver"
def test_a_session_works_in_stable_baselines3s_subproc_vec_env(method):
    vec_env = pytest.importorskip("stable_baselines3.common.vec_env")
    with Curriculum(config(None)) as curriculum:
        envs = vec_env.SubprocVecEnv([MakeEnv(curriculum)] * NUM_ENVS, start_method=method)
        envs.reset()
        for _ in range(NUM_STEPS):
            envs.step(np.zeros(NUM_ENVS, np.int64))
        envs.close()
        check(curriculum)


@pytest.mark.skipif(find_spec("pufferlib") is None, reason="there is no PufferLib here")
@pytest.mark.filterwarnings("ignore")
def test_a_session_works_in_pufferlibs_multiprocessing(curriculum):
    vector = pytest.importorskip("pufferlib.vector")
    emulation = pytest.importorskip("pufferlib.emulation")
    make = MakeEnv(curriculum)
    envs = vector.make(
        lambda buf=None, seed=0: emulation.GymnasiumPufferEnv(make(), buf=buf, seed=seed),
        num_envs=NUM_ENVS,
        num_workers=NUM_ENVS,
        overwork=True,
        backend=vector.Multiprocessing,
    )
    envs.reset(seed=0)
    for _ in range(NUM_STEPS):
        envs.step(np.zeros(NUM_ENVS, np.int64))
    check(curriculum)
    envs.close()


def test_the_ranks_of_torchrun_share_a_session(base):
    """Two ranks on one machine that name one session."""
    pytest.importorskip("torch")
    source = (
        "import sys\nfrom pathlib import Path\nfrom curricular.backends import session\n"
        f"session.base_directory = lambda: Path({str(session.base_directory())!r})\n"
        f"sys.path.insert(0, {str(Path(__file__).parents[2])!r})\n"
        "from tests.sessions.actors import rank\nfrom tests.sessions.processes import config\nrank(config())\n"
    )
    program = base / "train.py"
    program.write_text(source)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(program)]
    result = subprocess.run(
        command, capture_output=True, text=True, timeout=120, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=False
    )
    assert result.returncode == 0, result.stderr
    completed = [float(line.split()[1]) for line in sorted(result.stdout.split("\n")) if line]
    assert len(completed) == 2
    assert completed[0] == completed[1]
    assert [line.split()[2] for line in result.stdout.split("\n") if line] == ["2", "2"]
