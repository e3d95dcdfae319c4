"""slime's real data source, whose prompts a curriculum chooses.

slime is not on PyPI, so put its sources on PYTHONPATH: into the environment of `make test-trl`, with Ray and httpx.
"""

import json
from argparse import Namespace

import pytest

pytest.importorskip("slime.rollout.data_source", reason="needs slime's sources", exc_type=ImportError)

from curricular.trainers.slime import TICKET, CurriculumDataSource, tell

from ..helpers import balance
from .trl_run import create_tokenizer

pytestmark = pytest.mark.filterwarnings("default")
NUM_COMPLETIONS = 4


@pytest.fixture
def args(tmp_path):
    create_tokenizer().save_pretrained(tmp_path / "model")
    (tmp_path / "model" / "config.json").write_text('{"model_type": "llama"}')
    rows = [{"prompt": f"{i // 10} {i % 10}", "label": str(i)} for i in range(32)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    keys = ["dump_details", "rollout_max_prompt_len", "multimodal_keys", "tool_key", "apply_chat_template_kwargs"]
    return Namespace(
        rollout_global_dataset=True,
        prompt_data=str(tmp_path / "rows.jsonl"),
        hf_checkpoint=str(tmp_path / "model"),
        input_key="prompt",
        label_key="label",
        metadata_key="metadata",
        apply_chat_template=False,
        rollout_seed=0,
        rollout_shuffle=False,
        n_samples_per_prompt=NUM_COMPLETIONS,
        reward_key=None,
        save=str(tmp_path),
        load=str(tmp_path),
        **dict.fromkeys(keys),
    )


def finish(groups, status="COMPLETED"):
    for group in groups:
        for index, sample in enumerate(group):
            sample.status, sample.reward = type(sample).Status[status], float(index % 2)
    return groups


def test_groups_are_told_under_their_tickets(args):
    source = CurriculumDataSource(args)
    groups = source.get_samples(8)
    assert [len(group) for group in groups] == [NUM_COMPLETIONS] * 8
    assert [sample.index for group in groups for sample in group] == list(range(8 * NUM_COMPLETIONS))
    assert len({sample.metadata[TICKET] for group in groups for sample in group}) == 8
    tell(args, finish(groups), source.get_samples)
    stats = source.curriculum.stats()
    assert (stats["num_completed"], stats["num_open"]) == (8, 0)
    assert stats["score/mean"] == pytest.approx(0.5)


def test_aborted_groups_are_cancelled_and_failed_samples_count_as_failed(args):
    source = CurriculumDataSource(args)
    groups = source.get_samples(8)
    source.add_samples(groups[:3])
    finish(groups[3:7])
    finish(groups[7:], "FAILED")
    groups[3][0].status = type(groups[3][0]).Status.ABORTED
    tell(args, groups[3:], source.get_samples)
    stats = source.curriculum.stats()
    assert (stats["num_completed"], stats["num_cancelled"], stats["cancelled/aborted"]) == (4, 4, 3)
    assert balance(stats) == 0


def test_what_is_in_flight_at_a_save_comes_first_after_a_load(args):
    source = CurriculumDataSource(args)
    in_flight = source.get_samples(8)
    source.save(3)
    resumed = CurriculumDataSource(args)
    resumed.load(3)
    again = resumed.get_samples(8)
    assert [group[0].metadata for group in again] == [group[0].metadata for group in in_flight]
    assert [group[0].prompt for group in again] == [group[0].prompt for group in in_flight]
    assert again[0][0].index == 8 * NUM_COMPLETIONS


def test_groups_that_never_come_back_expire(args):
    source = CurriculumDataSource(args)
    source.max_age = 16
    source.get_samples(8)
    for _ in range(4):
        tell(args, finish(source.get_samples(8)), source.get_samples)
    assert source.curriculum.stats()["cancelled/expired"] == 8


def test_rows_that_are_shuffled_are_refused(args):
    args.rollout_shuffle = True
    with pytest.raises(ValueError, match="args: expected prompt_data"):
        CurriculumDataSource(args)
