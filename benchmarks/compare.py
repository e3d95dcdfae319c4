"""Compares what two revisions cost, side by side.

    make bench-compare ARGS="main HEAD"
    make bench-compare ARGS="main . --sizes 1000 100000 --lines pair stats"
    make bench-compare ARGS=".+pure ."

A revision is anything that git resolves, or "." for the working tree; "+pure" after it leaves out the kernel.
benchmarks/README.md says how to read the output.
"""

import argparse
import json
import logging
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from lines import LARGE, LINES, Line

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = 3
REPEATS = 5
PURE = "+pure"
NOISE = 0.03
"""Difference that processes with the same sources may show, since memory is laid out anew in each."""


class Revision:
    """A process that measures lines with the sources of one revision.

    Args:
        source: Folder of the revision's sources.
        name: The revision, as the command names it.
    """

    def __init__(self, source: Path, name: str) -> None:
        is_pure = "1" if name.endswith(PURE) else "0"
        self.process = subprocess.Popen(  # noqa: S603
            [sys.executable, __file__, "--serve"],
            env={**os.environ, "PYTHONPATH": str(source / "src"), "OMP_NUM_THREADS": "1", "CURRICULAR_PURE": is_pure},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, request: list[object]) -> float:
        """Sends a request and returns the value measured."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "error" in answer:
            raise Unmeasured(answer["error"])
        return float(answer["value"])

    def close(self) -> None:
        """Ends the process."""
        self.process.communicate()


def serve() -> None:
    """Measures one line at a time, as the requests on the standard input say: in a process of one revision."""
    logging.getLogger("curricular").setLevel(logging.ERROR)
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    lines = {line.name: line for line in LINES}
    for request in sys.stdin:
        name, size = json.loads(request)
        try:
            if name is not None:
                measure = lines[name].start(size)
            answer = {"value": measure()}
        except Exception as error:  # noqa: BLE001  an older revision may lack what a line needs
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")


@contextmanager
def sources(revision: str) -> Iterator[Path]:
    """Checks out `revision` in a temporary worktree, which is removed in the end; "." is the working tree.

    Building a wheel, which is dropped, compiles the kernel beside its source.
    """
    revision = revision.removesuffix(PURE)
    if revision == ".":
        yield ROOT
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tree"
        git("worktree", "add", "--detach", str(path), revision)
        try:
            pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, str(path)]
            subprocess.run(pip, check=True)  # noqa: S603
            yield path
        finally:
            git("worktree", "remove", "--force", str(path))


def git(*arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)  # noqa: S603, S607
    if done.returncode:
        sys.exit(f"git {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.strip()


def alternate(revisions: list[tuple[Path, str]], name: str, size: int, repeats: int) -> list[list[float]]:
    """Returns the values of each revision, measured in turn by a new process for each.

    The revision that goes first changes with every repeat. The first values warm up and are dropped.

    Raises:
        Unmeasured: If a revision lacks what the line needs.
    """
    values: list[list[float]] = [[], []]
    with ExitStack() as stack:
        processes = [Revision(folder, revision) for folder, revision in revisions]
        for process in processes:
            stack.callback(process.close)
        for process in processes:
            process.ask([name, size])
        for repeat in range(1 + repeats):
            for which in (0, 1) if repeat % 2 else (1, 0):
                values[which].append(processes[which].ask([None, 0]))
    return [measured[1:] for measured in values]


class Unmeasured(Exception):  # noqa: N818
    """A revision raised when a line was measured."""


def interval(ratios: list[float]) -> tuple[float, float]:
    """Returns a confidence interval of the median of `ratios`, of at least 95% where there are six or more of them.

    The number of ratios below the true median is binomial, whatever the distribution, so that single repeats that
    other work disturbed do not widen the interval.
    """
    ordered, n = sorted(ratios), len(ratios)
    weight, total, cut = 1.0, 2.0**n, 0  # `cut` values on each side lie outside
    tail = weight / total
    while tail <= 0.025 and cut < (n - 1) // 2:
        cut += 1
        weight *= (n - cut + 1) / cut
        tail += weight / total
    cut = max(cut - 1, 0)
    return ordered[cut], ordered[n - 1 - cut]


def main() -> None:
    names = [line.name for line in LINES]
    parser = argparse.ArgumentParser(description="Compares what two revisions cost, in alternating processes.")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # so that the worktrees are removed
    parser.add_argument(
        "revisions",
        nargs=2,
        metavar="REVISION",
        help='what git resolves, or "." for the working tree; "+pure" after it: without the kernel',
    )
    parser.add_argument("--lines", nargs="+", default=names, metavar="NAME", help=f"lines that begin so: {names}")
    parser.add_argument("--sizes", type=int, nargs="+", metavar="N", help=f"numbers of tasks; default below {LARGE:,}")
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N", help=f"pairs of processes; default {ROUNDS}")
    parser.add_argument("--repeats", type=int, default=REPEATS, metavar="N", help=f"in each; default {REPEATS}")
    parser.add_argument("--out", type=Path, default=None, metavar="FILE", help="write all measurements as JSON")
    options = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; medians of {options.rounds * options.repeats}")
    print(f"A: {options.revisions[0]}, B: {options.revisions[1]}\n\n{'':28}{'tasks':>10}{'A':>12}{'B':>12}   B / A")
    measured: list[dict[str, object]] = []
    with ExitStack() as stack:
        revisions = [(stack.enter_context(sources(revision)), revision) for revision in options.revisions]
        for line, size in chosen(options.lines, options.sizes):
            values: list[list[float]] = [[], []]
            print(f"{line.name:28}{size or '':>10}", end="", flush=True)
            try:
                for number in range(options.rounds):
                    order = (1, 0) if number % 2 else (0, 1)
                    new = alternate([revisions[which] for which in order], line.name, size, options.repeats)
                    for which, found in zip(order, new, strict=True):
                        values[which] += found
            except Unmeasured as error:
                print(f"   {error}")
                continue
            print(shown(values, line.unit), flush=True)
            measured.append({"line": line.name, "tasks": size, "unit": line.unit, "values": values})
    if options.out is not None:
        options.out.write_text(json.dumps({"revisions": options.revisions, "lines": measured}, indent=1))


def chosen(names: list[str], sizes: list[int] | None) -> Iterator[tuple[Line, int]]:
    """Yields the lines whose names begin with one of `names`, with each number of tasks; by default below `LARGE`."""
    for line in LINES:
        if line.name.startswith(tuple(names)):
            for size in line.sizes:
                if not size or (size in sizes if sizes else size < LARGE):
                    yield line, size


def shown(values: list[list[float]], unit: str) -> str:
    """Returns the medians, and the ratio with its interval; a verdict if the interval is beyond `NOISE`."""
    ratios = [after / before for before, after in zip(*values, strict=True)]
    low, high = interval(ratios)
    verdict = "  slower" if low > 1 + NOISE else "  faster" if high < 1 - NOISE else ""
    before, after = (readable(statistics.median(each), unit) for each in values)
    return f"{before:>12}{after:>12}   {statistics.median(ratios):.2f} ({low:.2f} … {high:.2f}){verdict}"


def readable(value: float, unit: str) -> str:
    """Returns the value with its unit; times from 1,000 µs in ms."""
    return f"{value / 1_000:.1f} ms" if unit == "µs" and value >= 1_000 else f"{value:.3g} {unit}"


if __name__ == "__main__":
    if sys.argv[1:] == ["--serve"]:
        serve()
    else:
        main()
