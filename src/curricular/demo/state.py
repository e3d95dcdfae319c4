"""The state of a training on disk, from which it goes on after a crash: at most the steps since the last save are lost.

Two files a training: the curriculum's checkpoint, and PyTorch's file with everything else, which names its checkpoint
and is replaced last, so the pair on disk is always of one moment.
"""

import os
from pathlib import Path
from typing import Any

import torch

from .. import Curriculum, CurriculumConfig
from .tasks import Level, generator


class SavedTraining:
    """The state of the training called `name` in `folder`."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name

    @property
    def _file(self) -> Path:
        return self._folder / f"{self._name}.pt"

    def _checkpoint(self, number: int) -> Path:
        return self._folder / f"{self._name}-{number}.npz"

    def write(self, number: int, curriculum: Curriculum[Level], state: dict[str, Any]) -> None:
        """Saves the training after update `number`. `state` holds tensors, numbers, strings, dicts and lists."""
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
        """What `write` was given last, with the ``number``; None if there is nothing."""
        if not self._file.exists():
            return None
        state: dict[str, Any] = torch.load(self._file, weights_only=True)
        return state

    def curriculum(self, config: CurriculumConfig, levels: tuple[Level, ...]) -> Curriculum[Level]:
        """The curriculum of the state on disk, or a new one."""
        state = self.read()
        if state is None:
            return Curriculum(config, generator(levels))
        return Curriculum.load(self._checkpoint(state["number"]), generator(levels), config=config)

    def forget(self) -> None:
        """Removes the state, to begin anew."""
        for path in (self._file, *self._folder.glob(f"{self._name}-*.npz")):
            path.unlink(missing_ok=True)
