"""Processes of one session walk over the pool together."""

from curricular import Curriculum, UniformConfig

from .processes import script

WALKS = """
import numpy as np
from curricular import Curriculum, UniformConfig

with Curriculum([f"task {number}" for number in range(120)], UniformConfig(cover_share=1.0, session_id="walk")) as it:
    for _ in range(8):
        batch = it.ask_batch(5)
        print(*batch.seeds.tolist())
        it.tell_batch(batch.tickets, np.ones(5))
"""


def test_processes_of_a_session_walk_together():
    tasks = [f"task {number}" for number in range(120)]
    with Curriculum(tasks, UniformConfig(cover_share=1.0, session_id="walk")) as curriculum:
        workers = [script(WALKS) for _ in range(3)]
        seeds = [int(seed) for worker in workers for seed in worker.communicate()[0].split()]
        assert curriculum.stats()["num_scheduled"] == 120
    assert sorted(seeds) == list(range(120))
