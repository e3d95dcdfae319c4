"""`CurriculumCallback` for RLlib: adds the statistics of a curriculum to the results. Imports no RLlib."""

from collections.abc import MutableMapping
from typing import Any

from ..curriculum import Curriculum
from ..loggers import PREFIX

__all__ = ["CurriculumCallback"]


class CurriculumCallback:
    """Adds the statistics of a curriculum to the result of each training iteration, under ``"curriculum"``.

    To pass to RLlib's configuration::

        config.callbacks(on_train_result=CurriculumCallback(curriculum))

    Ray Tune and its loggers then report the statistics as ``curriculum/…``.

    Args:
        curriculum: The curriculum that the environments share.
    """

    def __init__(self, curriculum: Curriculum[Any]) -> None:
        self._curriculum = curriculum

    def __call__(self, *, result: MutableMapping[str, Any], **_: Any) -> None:
        result[PREFIX.rstrip("/")] = self._curriculum.stats()
