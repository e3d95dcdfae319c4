"""The state of a training on disk, from which the training resumes after a crash.

A training has two files: the curriculum's checkpoint, and a PyTorch file with everything else. The PyTorch file names
its checkpoint and is replaced last, so the two files on disk always match.
"""

import os
from pathlib import Path
from typing import Any

import torch

from .. import Curriculum, CurriculumConfig
from .tasks import Level, generator


class SavedTraining:
    """The saved state of the training `name` in `folder`."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name

    @property
    def _file(self) -> Path:
        return self._folder / f"{self._name}.pt"

    def _checkpoint(self, number: int) -> Path:
        return self._folder / f"{self._name}-{number}.npz"

    def write(self, number: int, curriculum: Curriculum[Level], state: dict[str, Any]) -> None:
        """Saves the training after an update.

        Args:
            number: Number of the update, from 1.
            curriculum: The curriculum of the training.
            state: Everything else, as tensors, numbers, strings, dicts and lists.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        curriculum.save(self._checkpoint(number))
        draft = self._file.with_suffix(".draft")
        with draft.open("wb") as file:
            torch.save({"number": number, **state}, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._file)
        for path in self._folder.glob(f"{self._name}-*.npz"):
            if path != self._checkpoint(number):
                path.unlink()

    def read(self) -> dict[str, Any] | None:
        """Returns the last written state with its ``number``, or None if no state was saved."""
        if not self._file.exists():
            return None
        state: dict[str, Any] = torch.load(self._file, weights_only=True)
        return state

    def curriculum(self, config: CurriculumConfig, levels: tuple[Level, ...]) -> Curriculum[Level]:
        """Returns the saved curriculum, or a new curriculum if no state was saved."""
        state = self.read()
        if state is None:
            return Curriculum(config, generator(levels))
        return Curriculum.load(self._checkpoint(state["number"]), generator(levels), config=config)

    def forget(self) -> None:
        """Removes the saved state."""
        for path in (self._file, *self._folder.glob(f"{self._name}-*.npz")):
            path.unlink(missing_ok=True)
