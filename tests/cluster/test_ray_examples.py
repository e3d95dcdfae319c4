"""The examples for Ray clusters run. `make test-cluster` runs them: each starts nodes of its own."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from ..helpers import TIMEOUT

EXAMPLES = Path(__file__).parents[2] / "examples"

pytest.importorskip("ray", reason="make test-cluster runs it")


def run(name, *arguments):
    command = [sys.executable, EXAMPLES / name, *arguments]
    out = subprocess.run(command, capture_output=True, text=True, check=False, timeout=5 * TIMEOUT)
    assert out.returncode == 0, out.stderr
    return out.stdout


def test_ppo_of_rllib_trains_with_a_runner_on_each_of_two_nodes():
    pytest.importorskip("ray.rllib")
    lines = re.findall(r"(\d+) episodes on (\d) nodes, mean score", run("rllib_cluster.py", "--iterations", "2"))
    (first, nodes), (second, _) = lines
    assert nodes == "2"
    assert 0 < int(first) < int(second)


def test_workers_of_ray_train_ask_and_tell_on_two_nodes():
    pytest.importorskip("torch")
    assert "1280 episodes of two workers on two nodes" in run("ray_train.py", "--updates", "20")


def test_the_demo_kills_a_hub_and_a_node_and_the_account_agrees_with_the_books():
    out = run("cluster_kills.py", "--seconds", "30")
    assert re.search(r"\d+ episodes: none counted twice, none lost that was flushed", out)
