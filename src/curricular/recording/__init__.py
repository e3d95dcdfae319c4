"""Recording: what a curriculum chose and how the tasks went, over time, in one file. Needs the extra `report`.

with Recorder(curriculum, "runs/x") as recorder:
    while training:
        ...
        recorder.update()
"""

from .file import NewerRecordingError, Recording, read_recording
from .recorder import Recorder

__all__ = ["NewerRecordingError", "Recorder", "Recording", "read_recording"]
