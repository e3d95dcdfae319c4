"""Five pictures of a curriculum or a recording, as Matplotlib figures. Needs the extra `report`.

Each function takes a curriculum, a recording, or the folder of a recording. Of a curriculum, the picture shows this
moment; of a recording, it shows the course over time. Save a figure with ``figure.savefig("draws.png")``.
"""

import os
import time
from collections.abc import Set as AbstractSet
from typing import Any, TypeAlias

from .aggregates import Aggregator
from .curriculum import Curriculum
from .recording import Recording, read_recording
from .recording.file import to_batch
from .report.charts import Chart, charts
from .report.pictures import draw

try:
    from matplotlib.figure import Figure
except ModuleNotFoundError:
    raise ImportError("curricular.plots needs Matplotlib: pip install 'curricular[report]'") from None

Source: TypeAlias = Curriculum[Any] | Recording | str | os.PathLike[str]
"""What a picture is drawn of."""


def draws(source: Source) -> Figure:
    """Draws the share of the draws by state of the tasks, such as "mastered" or "never solved".

    Args:
        source: A curriculum, a recording, or the folder of a recording.

    Raises:
        TypeError: If `source` is something else.
        ValueError: If the recording is empty, damaged or of a newer version.
        FileNotFoundError: If there is no recording.

    Examples:
        >>> from curricular import Curriculum, plots
        >>> figure = plots.draws(Curriculum(["easy", "hard"]))
        >>> figure.axes[0].get_title(loc="left")
        'Where the draws go'
    """
    return draw(_found(source, "draws", "results"))


def labels(source: Source) -> Figure:
    """Draws the mean success rate of the tasks of each label.

    Args:
        source: As for `draws`.

    Raises:
        ValueError: If the tasks have no labels; otherwise as for `draws`.
    """
    return draw(_found(source, "labels-success", "tasks with labels"))


def axis(source: Source, name: str | None = None) -> Figure:
    """Draws the share of the draws along an axis of the tasks.

    Args:
        source: As for `draws`.
        name: Name of the axis. None: the first one.

    Raises:
        ValueError: If the tasks have no such axis; otherwise as for `draws`.
    """
    expected = "tasks with axes" if name is None else f"tasks with the axis {name!r}"
    return draw(_found(source, "axis", expected, {name}))


def progress(source: Source, first: str | None = None, second: str | None = None) -> Figure:
    """Draws the mean learning progress over two axes, as a map.

    Args:
        source: As for `draws`.
        first: Name of an axis. None: any.
        second: Name of another axis. None: any.

    Raises:
        ValueError: If the tasks have no two such axes; otherwise as for `draws`.
    """
    names = " and ".join(repr(name) for name in (first, second) if name is not None)
    expected = f"tasks with two axes, {names} among them" if names else "tasks with two axes"
    return draw(_found(source, "map", expected, {first, second}))


def success(source: Source) -> Figure:
    """Draws the distribution of the success rates of the tasks.

    Args:
        source: As for `draws`.

    Raises:
        ValueError: As for `draws`.
    """
    return draw(_found(source, "tasks-success", "results"))


def _found(source: Source, key: str, expected: str, axes: AbstractSet[str | None] = frozenset()) -> Chart:
    """Returns the first chart of `source` whose key begins with `key`, and which shows `axes`; None stands for any.

    Raises:
        ValueError: If there is no such chart.
    """
    wanted = axes - {None}
    for chart in charts([_recording(source)]):
        if chart.key.startswith(f"{key}-") and wanted <= {chart.x_title, chart.y_title}:
            return chart
    raise ValueError(f"source: expected {expected}, got none; see `curriculum.tasks()` for what there is to draw")


def _recording(source: Source) -> Recording:
    """Returns `source` as a recording: of a curriculum, that of one snapshot."""
    if isinstance(source, Curriculum):
        stats = source.stats()
        rows = Aggregator().rows(stats, source.tasks())
        return Recording("curriculum", [to_batch(rows, int(stats["num_completed"]), time.time())], is_cut=False)
    if isinstance(source, str | os.PathLike):
        source = read_recording(source)
    if not isinstance(source, Recording):
        raise TypeError(
            f"source: expected a curriculum, a recording or its folder, got {type(source).__name__}; pass one of these"
        )
    if not len(source.batches):
        raise ValueError(
            f"source: expected a recording with a snapshot, got the empty one {source.name!r}; record first"
        )
    return source
