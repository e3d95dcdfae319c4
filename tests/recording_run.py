"""Stand-in for a training: a curriculum over mazes whose success rate rises with the results."""

from curricular import Curriculum, UniformConfig, bucketed, merge, single_task


def curriculum_of_mazes(**settings):
    mazes = bucketed({}, {"size": [5, 9, 13], "rivals": [0, 1]}, label="maze")
    broken = single_task({"broken": True}, label="[/bold] broken\n<script>")
    config = UniformConfig(num_active_tasks=7, **({"use_shared_memory": False} | settings))
    return Curriculum(merge([mazes, broken]), config)


def train(curriculum, recorder, num_tasks, start=0):
    for number in range(start, start + num_tasks):
        task = curriculum.get_task()
        if "broken" in task.label:
            curriculum.cancel([task.task_id], "failed")
        else:
            curriculum.update_task_performance(
                task.task_id, float(task.params["size"] * 20 < number + 101 * (number % 2))
            )
        recorder.update()


def record(folder, num_tasks=400, **settings):
    """Records a training and reads it."""
    from curricular.recording import Recorder, read_recording  # noqa: PLC0415  an extra

    with Recorder(curriculum_of_mazes(), folder, **({"interval": 20} | settings)) as recorder:
        train(recorder._curriculum, recorder, num_tasks)
    return read_recording(folder)
