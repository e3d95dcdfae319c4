"""Each file in examples/ runs by itself, without a warning, and shows what it says."""

import re
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(name, tmp_path):
    out = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / name],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=tmp_path,
    )
    assert out.returncode == 0, out.stderr
    assert not out.stderr
    return out.stdout


def test_gymnasium_loop_learns_where_there_is_something_to_learn(tmp_path):
    out = run("gymnasium_loop.py", tmp_path)
    successes = [int(share) for share in re.findall(r"episode +\d+: +(\d+)% success", out)]
    assert len(successes) == 10
    assert successes[-1] > 50 > successes[0]
    episodes = {start: int(number) for start, number in re.findall(r"\((\d, \d)\):.* after (\d+) episodes", out)}
    assert len(episodes) == 15
    assert max(episodes["7, 7"], episodes["6, 1"]) < sum(episodes.values()) / 15


def test_your_own_loop_learns_all_there_is(tmp_path):
    assert "success 100% over all tasks" in run("your_own_loop.py", tmp_path)


def test_every_example_has_a_test():
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(
        re.findall(r'run\("(\w+\.py)"', Path(__file__).read_text(encoding="utf-8"))
    )
