"""Loggers: write the statistics of a curriculum to TensorBoard, Weights & Biases, Stable-Baselines3, JSON lines or CSV.

Make a logger once and call it in the training loop. All keys are those of `Curriculum.stats`. Loggers that share a
destination with other figures add the prefix ``curriculum/``. Importing this module imports none of these frameworks.
"""

import csv
import io
import json
import os
import time
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from itertools import chain, count
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .curriculum import Curriculum
from .texts import one_line

PREFIX = "curriculum/"
"""Prefix of the keys in destinations that also have other figures of the training."""

SB3_KEY_LENGTH = 33
"""Characters of a key, prefix excluded, that the table of Stable-Baselines3 shows: 36 less three spaces."""

HISTOGRAMS = {"success": "success_rate", "learning_progress": "learning_progress", "probability": "probability"}
"""Name of a histogram -> column of `Curriculum.tasks`."""


class SummaryWriter(Protocol):
    """The methods of `torch.utils.tensorboard.SummaryWriter` that `TensorBoardLogger` calls."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
        """Logs a number."""
        ...

    def add_histogram(self, tag: str, values: NDArray[np.float64], global_step: int) -> None:
        """Logs a histogram."""
        ...


class Recordable(Protocol):
    """The method of `stable_baselines3.common.logger.Logger` that `SB3Logger` calls."""

    def record(self, key: str, value: Any) -> None:
        """Stores a value for the next dump."""
        ...


class TensorBoardLogger:
    """Logs numbers and histograms to TensorBoard, at the step with which it is called.

    Args:
        curriculum: The curriculum.
        writer: The `SummaryWriter` of the training.
    """

    def __init__(self, curriculum: Curriculum[Any], writer: SummaryWriter) -> None:
        self._curriculum, self._writer = curriculum, writer

    def __call__(self, step: int) -> None:
        for key, value in self._curriculum.stats().items():
            self._writer.add_scalar(PREFIX + key, value, step)
        for name, values in _histograms(self._curriculum):
            self._writer.add_histogram(f"{PREFIX}tasks/{name}", values, step)


class WandbLogger:
    """Logs numbers and histograms to a run of Weights & Biases, online or offline.

    Args:
        curriculum: The curriculum.
        run: What `wandb.init` returned.
    """

    def __init__(self, curriculum: Curriculum[Any], run: Any) -> None:
        import wandb  # noqa: PLC0415  an extra that other loggers do without

        self._curriculum, self._run, self._histogram = curriculum, run, wandb.Histogram

    def __call__(self, step: int) -> None:
        figures: dict[str, Any] = {PREFIX + key: value for key, value in self._curriculum.stats().items()}
        for name, values in _histograms(self._curriculum):
            counts = np.histogram(values, 32)
            figures[f"{PREFIX}tasks/{name}"] = self._histogram(np_histogram=counts)
        self._run.log(figures, step=step)


class SB3Logger:
    """Records numbers in the logger of Stable-Baselines3, under keys that stay distinct in its table.

    Args:
        curriculum: The curriculum.
        logger: The logger of the model, ``model.logger``.
    """

    def __init__(self, curriculum: Curriculum[Any], logger: Recordable) -> None:
        self._curriculum, self._logger = curriculum, logger

    def __call__(self) -> None:
        for key, value in short_keys(self._curriculum.stats()).items():
            self._logger.record(PREFIX + key, value)


class JsonLinesLogger:
    """Appends one JSON object per call to a file: the step, the time in seconds since the epoch, and the statistics.

    Args:
        curriculum: The curriculum.
        path: The file.
    """

    def __init__(self, curriculum: Curriculum[Any], path: str | os.PathLike[str]) -> None:
        self._curriculum, self._path = curriculum, Path(path)

    def __call__(self, step: int) -> None:
        line = json.dumps({"step": step, "time": time.time(), **self._curriculum.stats()}, ensure_ascii=False)
        _append(self._path, line + "\n")


class CsvLogger:
    """Appends one line per call to a CSV file: the step and the statistics. A new key becomes a new column.

    A call that fails, as on a full disk, changes no column. The next call begins a new line.

    Args:
        curriculum: The curriculum.
        path: The file. If it exists, the logger appends to it.

    Raises:
        ValueError: If the file exists and is not a CSV file with a column ``step``.
    """

    def __init__(self, curriculum: Curriculum[Any], path: str | os.PathLike[str]) -> None:
        self._curriculum, self._path = curriculum, Path(path)
        self._columns: list[str] = []
        if self._path.exists() and self._path.stat().st_size:
            with self._path.open(encoding="utf-8", newline="") as file:
                self._columns = next(csv.reader(file), [])
            if "step" not in self._columns:
                raise ValueError(
                    f"path: expected a CSV file with a column 'step', got {str(path)!r} with {self._columns}; choose "
                    f"another file"
                )

    def __call__(self, step: int) -> None:
        row = {"step": step, **self._curriculum.stats()}
        new = [key for key in row if key not in self._columns]
        if new:
            self._widen(new)
        line = io.StringIO(newline="")
        csv.DictWriter(line, self._columns).writerow(row)
        _append(self._path, line.getvalue())

    def _widen(self, new: list[str]) -> None:
        """Rewrites the file with the columns `new` added."""
        columns = [*self._columns, *new]
        rows: list[dict[str, str]] = []
        if self._columns:
            with self._path.open(encoding="utf-8", newline="") as file:
                rows = list(csv.DictReader(file))
        draft = self._path.with_name(f"{self._path.name}.{os.getpid()}.tmp")
        try:
            with draft.open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, columns, extrasaction="ignore")
                writer.writeheader()
                writer.writerows(rows)
            draft.replace(self._path)
        finally:
            draft.unlink(missing_ok=True)
        self._columns = columns


def _append(path: Path, line: str) -> None:
    """Appends `line` to a file, on a line of its own even if an earlier write was cut off."""
    with path.open("ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                line = "\n" + line
        file.write(line.encode())


def short_keys(stats: Mapping[str, float], length: int = SB3_KEY_LENGTH) -> dict[str, float]:
    """Returns `stats` under keys of at most `length` characters on one line, all different.

    A key that is too long keeps the part after its last slash. Before it, a hash replaces the part that does not fit.
    If that part is too long itself, the hash replaces the end of the key.

    Args:
        stats: What `Curriculum.stats` returns.
        length: Maximum length of a key in characters, at least 25.

    Examples:
        >>> short_keys({"label/a corridor with four doors/success": 0.5, "num_active": 3.0})
        {'label/a corridor w~a3d451/success': 0.5, 'num_active': 3.0}
        >>> short_keys({"cancelled/the simulator left the arena": 2.0})
        {'cancelled/the simulator le~262940': 2.0}
    """
    short: dict[str, float] = {}
    for key, value in stats.items():
        names = chain([one_line(key)], (_hashed(key, length, salt) for salt in count()))
        short[next(name for name in names if len(name) <= length and name not in short)] = value
    return short


def _hashed(key: str, length: int, salt: int) -> str:
    """Returns `key` on one line of at most `length` characters, with a hash of a part of it and of `salt`."""
    line = one_line(key)
    start = line.rfind("/")  # of the part that stays
    if start < 0 or len(line) - start > length - _MARK_LENGTH:
        start = len(line)
    text = f"{key[:start]}{salt or ''}"
    end = f"~{blake2b(text.encode(), digest_size=3).hexdigest()}{line[start:]}"
    return line[:start][: length - len(end)] + end


_MARK_LENGTH = 7
"""Length of a hash in a key, and of the mark before it."""


def _histograms(curriculum: Curriculum[Any]) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Yields the name of each histogram and its values, one per task that has a value; skips empty histograms."""
    tasks = curriculum.tasks()
    for name, column in HISTOGRAMS.items():
        values = tasks[column][~np.isnan(tasks[column])]
        if len(values):
            yield name, values
