"""Records the draws and results of a curriculum over time in one file. Needs the extra `report`.

Open a `Recorder` in a ``with`` statement, and call its `update` in the training loop. `read_recording` reads the file.
"""

from .file import NewerRecordingError, Recording, read_recording, told_apart
from .recorder import Recorder

__all__ = ["NewerRecordingError", "Recorder", "Recording", "read_recording", "told_apart"]
