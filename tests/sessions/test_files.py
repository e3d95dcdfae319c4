"""What is found at a session's place: by others, of others, damaged, too large, or not to be written."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
from itertools import pairwise

import numpy as np
import pytest
from pydantic import ValidationError

from curricular import Curriculum, LearningProgressConfig, Span, UniformConfig, bucketed
from curricular.backends import layout, session
from curricular.backends.catalogue import list_sessions, remove_session
from curricular.backends.journal import CorruptTableError
from curricular.backends.layout import HEADER_SIZE, MAGIC, FileLayout, SessionError, SessionMismatchError
from curricular.backends.protocol import LOG_SIZE
from curricular.backends.shared import SharedMemoryBackend
from curricular.rows import VERSION
from curricular.show import read_content
from curricular.table import EVENT

from ..helpers import TIMEOUT, clock_that_tells, shared_array, until
from .processes import check_accounts, config, play, script


def header_of(path):
    return json.loads(path.read_bytes()[len(MAGIC) : HEADER_SIZE].rstrip(b"\0"))


def write_header(path, content):
    with path.open("r+b") as file:
        file.write((MAGIC + json.dumps(content).encode()).ljust(HEADER_SIZE, b"\0"))


@pytest.fixture
def dead(fork, directory):
    """The file of a session whose only process was killed."""

    def die():
        play(Curriculum(config()), 10)
        os.kill(os.getpid(), signal.SIGKILL)

    assert fork(die).wait() == -signal.SIGKILL
    return directory / "shared"


@pytest.fixture
def full(base, tmp_path, monkeypatch):
    """A directory of sessions with hardly any space."""
    place = tmp_path / "full"
    place.mkdir()
    if os.getuid() or shutil.which("mount") is None:
        pytest.skip("mounting a small file system needs to be root")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", place], check=False).returncode:
        pytest.skip("mounting is not allowed here")
    monkeypatch.setattr(session, "base_directory", lambda: place)
    yield place
    subprocess.run(["umount", "-l", place], check=True)


class TestJoining:
    @pytest.mark.parametrize(
        ("other", "generator", "match"),
        [
            (config(num_active_tasks=17), None, "num_active_tasks: expected 16, .* got 17"),
            (
                LearningProgressConfig.stable(num_active_tasks=16, session_id="shared"),
                None,
                "ema_timescale: .*0.2.*0.01",
            ),
            (
                UniformConfig(num_active_tasks=17, session_id="shared", seed=5),
                bucketed({"a": 1}, {"a": Span(1, 9**9)}),
                "algorithm: expected 'learning_progress', .* got 'uniform'",
            ),
            (config(seed=5), None, "seed: expected 0, .* got 5"),
            (
                config(),
                bucketed({"a": 1}, {"a": Span(1, 9**9)}),
                r"generator: expected 'SeedGenerator of any number of tasks .*got \"Bucketed.* tasks, axes \['a'\] ",
            ),
            (config(score_range=(0.0, 2.0)), None, r"score_range: expected \[0.0, 1.0\], .* got \[0.0, 2.0\]"),
        ],
    )
    def test_a_joiner_must_want_the_same(self, other, generator, match):
        with Curriculum(config()) as curriculum:
            with pytest.raises(SessionMismatchError, match=match):
                Curriculum(other, generator)
            play(curriculum, 10)
            assert check_accounts(curriculum)["num_completed"] == 10

    def test_the_log_says_who_is_in_a_session_that_exists(self, caplog):
        caplog.set_level("INFO", "curricular")
        with Curriculum(config()) as curriculum:
            assert not caplog.messages
            play(curriculum, 10)
            curriculum.stats()
            Curriculum(config()).close()
        assert caplog.messages == ["joined session 'shared' (other workers: 1, results: 10)"]

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("version", VERSION + 1),
            ("byte_order", "middle"),
            ("fields", ["task_id"]),
            ("labels", ["name"]),
            ("log_size", 2048),
        ],
    )
    def test_a_joiner_must_be_of_the_same_version(self, name, value, dead):
        content = header_of(dead)
        write_header(dead, content | {name: value})
        with pytest.raises(
            SessionMismatchError, match=f"expected {name} .*got .*{re.escape(str(value)[:3])}.*use that version"
        ):
            session.join_session(dead)

    def test_a_joiner_that_wants_another_table_is_refused_in_an_unrelated_program_too(self):
        source = (
            "from curricular import Curriculum, LearningProgressConfig\n"
            "try:\n    Curriculum(LearningProgressConfig.stable(num_active_tasks=4, session_id='shared'))\n"
            "except ValueError as error:\n    print(error)\n"
        )
        with Curriculum(config()):
            assert "session 'shared'" in script(source).communicate(timeout=TIMEOUT)[0]

    def test_an_unrelated_program_shares_the_table(self):
        source = (
            "from curricular import Curriculum, LearningProgressConfig\n"
            "config = LearningProgressConfig.fast_learning(num_active_tasks=16, session_id='shared',"
            " min_presentations_for_eviction=5, eviction_rate=0.2)\n"
            "curriculum = Curriculum(config)\n"
            "for _ in range(20):\n    curriculum.update_task_performance(curriculum.get_task().task_id, 1.0)\n"
        )
        with Curriculum(config()) as curriculum:
            process = script(source)
            process.communicate(timeout=TIMEOUT)
            assert process.returncode == 0
            assert check_accounts(curriculum, num_pending=0)["num_completed"] == 20


class TestFile:
    @pytest.mark.parametrize("size", [0, 100, HEADER_SIZE, HEADER_SIZE + 4096, 10**7])
    def test_a_file_of_another_size_is_refused(self, dead, size):
        os.truncate(dead, size)
        with pytest.raises(SessionMismatchError, match="expected"):
            session.join_session(dead)

    @pytest.mark.parametrize(
        "header",
        [
            b"",
            b"\x7fELF" + bytes(range(256)),
            b'{"capacity": 16, "num_axes": 0, "settings": {}}',
            MAGIC,
            MAGIC + b"[" * 16_000,
            MAGIC + b"[1, 2]",
            MAGIC + b'{"capacity": "16", "num_axes": 0, "settings": {}}',
            MAGIC + b'{"capacity": 16, "num_axes": 0, "settings": 3}',
            MAGIC + b"\xff\xfe",
        ],
    )
    def test_a_foreign_file_is_refused(self, dead, header):
        with dead.open("r+b") as file:
            file.write(header.ljust(HEADER_SIZE, b"\0"))
        with pytest.raises(SessionMismatchError, match="cannot read"):
            session.join_session(dead)

    @pytest.mark.parametrize("size", [len(MAGIC) + 1, HEADER_SIZE])
    def test_the_file_of_a_dead_session_is_swept_and_made_anew(self, dead, size):
        os.truncate(dead, size)
        with Curriculum(config()) as curriculum:
            assert check_accounts(curriculum)["num_completed"] == 0

    @pytest.mark.parametrize("size", [0, 5, len(MAGIC)])
    def test_a_file_that_is_no_session_any_more_is_refused_and_left_alone(self, dead, size):
        os.truncate(dead, size)
        with pytest.raises(SessionMismatchError, match="cannot read"):
            Curriculum(config())
        assert dead.stat().st_size == size

    def test_a_changed_row_is_noticed_and_not_made_good(self):
        with Curriculum(config()) as curriculum:
            play(curriculum, 200)
            curriculum.flush()
            backend = curriculum.tracker.backend
            for word in range(len(backend._rows.words)):
                backend._rows.words[word, 3] ^= 1 << 40
                for look in (curriculum.stats, curriculum.task_states, lambda: backend.read(np.array([3]))):
                    with pytest.raises(CorruptTableError, match="1 rows that do not match"):
                        look()
                backend._rows.words[word, 3] ^= 1 << 40
            backend._rows.words[4, 3] ^= 1
            curriculum.update_task_performance(backend.newest_id(3), 1.0)
            with pytest.raises(CorruptTableError):
                curriculum.flush()
            with pytest.raises(CorruptTableError):
                curriculum.flush()
            backend._rows.words[4, 3] ^= 1
            check_accounts(curriculum)

    @pytest.mark.parametrize("head", [-1, 10**15])
    def test_an_impossible_log_is_noticed(self, head):
        with Curriculum(config()) as curriculum:
            curriculum.tracker.backend._workers[200, layout.HEAD] = head
            with pytest.raises(CorruptTableError, match="logs of"):
                curriculum.flush()

    def test_a_file_of_another_user_is_refused(self, directory, monkeypatch):
        path = directory / "shared"
        if os.getuid():
            pytest.skip("giving files away needs to be root")
        path.write_bytes(b"")
        os.chown(path, 12345, -1)
        monkeypatch.setattr(session, "sweep", list)
        with pytest.raises(SessionError, match=f"expected a file of user {os.getuid()} .* of user 12345"):
            Curriculum(config())

    def test_a_file_that_others_may_read_is_refused(self, directory, monkeypatch):
        (directory / "shared").touch(mode=0o644)
        monkeypatch.setattr(session, "sweep", list)
        with pytest.raises(SessionError, match="with mode 0600, got -rw-r--r--"):
            Curriculum(config())

    def test_a_session_is_for_its_user_only(self, directory):
        with Curriculum(config()):
            assert directory.stat().st_mode & 0o777 == 0o700
            assert (directory / "shared").stat().st_mode & 0o777 == 0o600

    def test_a_file_is_never_reached_through_a_link(self, directory, tmp_path):
        target = tmp_path / "precious"
        target.write_bytes(b"precious")
        (directory / "shared").symlink_to(target)
        with pytest.raises(SessionError, match=r"expected a file of user \d+, got "):
            Curriculum(config())
        assert target.read_bytes() == b"precious"

    def test_a_directory_or_a_pipe_at_the_place_of_a_file_is_refused(self, directory):
        (directory / "shared").mkdir()
        with pytest.raises(SessionError, match="expected a file"):
            Curriculum(config())
        os.mkfifo(directory / "pipe", 0o600)
        with pytest.raises(SessionError, match="expected a file"):
            session.join_session(directory / "pipe")


class TestDirectory:
    def test_a_directory_of_another_user_or_mode_is_refused(self, base):
        path = base / f"curricular-{os.getuid()}"
        path.mkdir(mode=0o755)
        with pytest.raises(SessionError, match="mode 0700, got drwxr-xr-x"):
            Curriculum(config())
        path.chmod(0o700)
        if os.getuid() == 0:
            os.chown(path, 12345, -1)
            with pytest.raises(SessionError, match="of user 12345"):
                Curriculum(config())

    def test_a_link_at_the_place_of_the_directory_is_refused(self, base, tmp_path):
        (base / f"curricular-{os.getuid()}").symlink_to(tmp_path)
        with pytest.raises(SessionError, match="got lrwx"):
            Curriculum(config())

    @pytest.mark.parametrize("is_base", [True, False])
    def test_a_directory_that_cannot_be_written_is_an_error(self, base, fork, is_base):
        def try_it():
            if os.getuid() == 0:
                os.setuid(12345)
            path = base if is_base else session.session_directory()
            path.chmod(0o500)
            with pytest.raises(SessionError, match=r"Permission denied; make .* use_shared_memory=False"):
                Curriculum(config())
            path.chmod(0o700)

        if os.getuid() == 0:
            os.chown(base, 12345, -1)
        assert fork(try_it).wait() == 0

    @pytest.mark.parametrize("name", ["a/b", "../up", "x" * 300, "", ".hidden", "a b", "a\0b", "a\n"])
    def test_strange_names_are_refused(self, name):
        with pytest.raises(ValidationError, match="session_id"):
            config(name)

    def test_the_longest_name_makes_a_file(self, directory):
        with Curriculum(config("x" * 100)):
            assert [path.name for path in directory.iterdir()] == ["x" * 100]

    def test_files_that_no_process_holds_are_swept(self, dead, directory, fork):
        (directory / ".draft-1-abc").write_bytes(b"half")
        (directory / ".private-1-abc").write_bytes(dead.read_bytes())
        with Curriculum(config("other")):
            assert [path.name for path in directory.iterdir()] == ["other"]

    def test_files_of_other_programs_are_kept(self, directory, tmp_path):
        (directory / "notes.txt").write_text("curricula, and more")
        (directory / ".private-1-abc").write_bytes(b"")
        (directory / "sub").mkdir()
        (directory / ".draft-link").symlink_to(tmp_path)
        os.mkfifo(directory / ".draft-pipe", 0o600)
        before = sorted(directory.iterdir())
        with Curriculum(config("other")):
            assert session.sweep() == []
        assert session.sweep() == ["other"]
        assert sorted(directory.iterdir()) == before
        with pytest.raises(SessionError, match=r"notes\.txt: expected a file of user"):
            Curriculum(config("notes.txt"))


class TestDamage:
    """What another process writes into the file of a session in use."""

    @staticmethod
    def overwrite(fork, path, offset, words):
        """Puts `words` there, in a process of its own, and returns those that were there."""
        before = shared_array(len(words))

        def write():
            with path.open("r+b") as file:
                file.seek(offset)
                before[:] = np.frombuffer(file.read(8 * len(words)), np.int64)
                file.seek(offset)
                file.write(np.array(words, np.int64).tobytes())

        assert fork(write).wait() == 0
        return before.tolist()

    @pytest.fixture
    def damaged(self, fork, directory):
        """A worker, and a function that damages its session and undoes that."""
        with Curriculum(config()) as curriculum:
            play(curriculum, 100)
            curriculum.flush()
            play(curriculum, 10)
            sections = curriculum.tracker.backend._file.layout.sections

            def damage(section, words, skip=0):
                return self.overwrite(fork, directory / "shared", sections[section][0] + skip, words)

            yield curriculum, damage

    @pytest.mark.parametrize("section", ["counters", "labels", "control", "cumulated", "tails", "words", "checks"])
    def test_damage_is_refused_by_a_joiner(self, damaged, section):
        curriculum, damage = damaged
        words = 2 * 16 if section == "cumulated" else 1
        before = damage(section, [-1] * words)
        for _ in range(3):
            with pytest.raises(CorruptTableError, match=r"session 'shared': expected .* got .*; another program wrote"):
                Curriculum(config())
        assert curriculum.tracker.backend._file.slots == {0}
        damage(section, before)
        with Curriculum(config()) as other:
            play(other, 10)
            assert other.tracker.backend._slot == 1
        assert check_accounts(curriculum, num_pending=0)["num_completed"] == 120

    @pytest.mark.parametrize(
        ("section", "match"),
        [
            ("counters", r"counters\['num_created'\] as a whole number"),
            ("labels", r"labels\['name'\] to begin with b'\(other\)'"),
            ("control", "a journal with the words"),
            ("tails", "logs of"),
            ("rings", r"events\['task_id'\] from 0"),
        ],
    )
    def test_damage_is_refused_by_the_workers(self, damaged, section, match):
        curriculum, damage = damaged
        skip = int(curriculum.tracker.backend._tails[0]) % LOG_SIZE * EVENT.itemsize if section == "rings" else 0
        before = damage(section, [-1], skip)
        for take_in in (curriculum.flush, curriculum.stats, curriculum.state_dict):
            with pytest.raises(CorruptTableError, match=match):
                take_in()
        play(curriculum, 10)  # goes into the log
        damage(section, before, skip)
        assert check_accounts(curriculum, num_pending=0)["num_completed"] == 120

    @pytest.mark.parametrize("has_company", [False, True])
    @pytest.mark.parametrize(
        ("section", "match"), [("words", "rows that do not match their checks"), ("cumulated", "cumulated to end with")]
    )
    def test_damage_is_refused_by_all_that_looks_at_the_whole_table(self, damaged, section, match, has_company):
        curriculum, damage = damaged
        with contextlib.ExitStack() as stack:
            if has_company:
                stack.enter_context(Curriculum(config()))
            before = damage(section, [-1] * 32)
            for look in (curriculum.stats, curriculum.probabilities, curriculum.tasks, curriculum.state_dict):
                with pytest.raises(CorruptTableError, match=match):
                    look()
            damage(section, before)
            assert curriculum.stats()["num_completed"] == 110
            assert curriculum.probabilities().sum() == pytest.approx(1.0)


class TestRemoval:
    def test_a_forked_child_has_no_lock_of_a_session_that_lost_its_name(self, fork):
        def look():
            assert not file.slots
            assert not file._threads.locked()

        with Curriculum(config()) as curriculum:
            file = curriculum.tracker.backend._file
            remove_session("shared", force=True)
            with Curriculum(config()):
                assert file.slots == {0}
                assert curriculum.tracker.backend.apply(lambda _: fork(look).wait()) == 0


class TestHardLink:
    """Opening a file a second time, and closing that, would cost a process all of its locks."""

    def test_a_hard_link_to_a_session_of_this_process_is_refused_and_costs_no_lock(self, directory, fork):
        with Curriculum(config()) as curriculum:
            os.link(directory / "shared", directory / "link")
            for reach in (
                lambda: Curriculum(config("link")),
                lambda: session.join_session(directory / "link"),
                lambda: read_content("link"),
            ):
                with pytest.raises(SessionError, match=r"link: .*got a hard link to session 'shared'"):
                    reach()
            assert [info.name for info in list_sessions()] == ["shared"]
            assert session.sweep() == []
            with pytest.raises(SessionError, match="live workers"):
                remove_session("link")
            Curriculum(config("other")).close()
            assert fork(self.look_for_life, curriculum).wait() == 0
            remove_session("link", force=True)
            assert [path.name for path in sorted(directory.iterdir())] == ["other", "shared"]
            assert fork(self.look_for_life, curriculum).wait() == 0
            play(curriculum, 20)
            assert check_accounts(curriculum)["num_completed"] == 20

    @staticmethod
    def look_for_life(curriculum):
        """In another process: the worker in slot 0 is alive, and its session is not swept."""
        assert curriculum.tracker.backend._file.is_alive(0)
        assert session.remove_file(session.session_directory() / "shared", force=False) is False

    def test_a_hard_link_to_a_session_that_lost_its_name_is_refused(self, directory):
        with Curriculum(config()) as curriculum:
            os.link(directory / "shared", directory / "link")
            remove_session("shared", force=True)
            with Curriculum(config()), pytest.raises(SessionError, match="hard link"):
                Curriculum(config("link"))
            assert "link" not in session.sweep()
            play(curriculum, 5)
            check_accounts(curriculum)

    def test_a_hard_link_to_a_session_of_another_process_is_the_same_session(self, directory, fork):
        ready, done = shared_array(1), shared_array(1)

        def hold():
            with Curriculum(config()) as mine:
                play(mine, 10)
                ready[0] = 1
                until(lambda: done[0])
                assert check_accounts(mine, num_pending=0)["num_completed"] == 30

        child = fork(hold)
        until(lambda: ready[0])
        os.link(directory / "shared", directory / "link")
        with Curriculum(config("link")) as curriculum:
            play(curriculum, 20)
            assert session.sweep() == []
            done[0] = 1
            assert child.wait() == 0


class TestFullDisk:
    def test_a_full_disk_is_an_error_when_a_session_is_made(self, full):
        with pytest.raises(SessionError, match=r"expected space for [0-9]+ more bytes, got No space left"):
            Curriculum(config(num_active_tasks=100_000))
        assert list(session.session_directory().iterdir()) == []

    def test_a_full_disk_is_an_error_when_a_worker_joins(self, full):
        with Curriculum(config()) as curriculum:
            (full / "filler").write_bytes(bytes(os.statvfs(full).f_bavail * os.statvfs(full).f_frsize))
            for _ in range(3):
                with pytest.raises(SessionError, match=r"expected space for .* free some space"):
                    Curriculum(config())
            (full / "filler").unlink()
            with Curriculum(config()) as other:
                play(other, 20)
            assert check_accounts(curriculum, num_pending=0)["num_completed"] == 20

    def test_a_full_disk_is_an_error_when_results_are_settled_which_are_kept(self, full):
        with Curriculum(config(num_active_tasks=200)) as curriculum:
            rest = os.statvfs(full).f_bavail * os.statvfs(full).f_frsize
            (full / "filler").write_bytes(bytes(rest))
            curriculum.ask(500)
            with pytest.raises(SessionError, match="expected space for"):
                curriculum.flush()
            (full / "filler").unlink()
            check_accounts(curriculum, num_pending=500)

    def test_refreshes_that_fail_on_a_full_disk_are_logged_once(self, full, caplog):
        with Curriculum(config(num_active_tasks=200)) as curriculum:
            ids = [task.task_id for task in curriculum.ask(300)]
            rest = os.statvfs(full).f_bavail * os.statvfs(full).f_frsize
            (full / "filler").write_bytes(bytes(rest))
            for task_id in ids:
                curriculum.update_task_performance(task_id, 0.5)
            assert len([record for record in caplog.records if "refresh" in record.message]) == 1
            (full / "filler").unlink()
            check_accounts(curriculum, num_pending=0)

    def test_a_full_disk_is_an_error_at_the_first_ticket_and_no_end_of_the_process(self, full):
        small = config(max_open_handouts=64)
        with Curriculum(small) as curriculum:
            (full / "filler").write_bytes(bytes(os.statvfs(full).f_bavail * os.statvfs(full).f_frsize))
            assert curriculum.tell_batch([1, 2**40], [0.0, 0.0]) == 0
            assert curriculum.expire(older_than=0) == 0
            assert len(curriculum.open_handouts().tickets) == 0
            with pytest.raises(SessionError, match="expected space for"):
                curriculum.ask_batch(4)
            (full / "filler").unlink()
            assert curriculum.tell_batch(curriculum.ask_batch(4).tickets, [1.0] * 4) == 4
            assert check_accounts(curriculum, num_pending=0)["num_unknown"] == 2


class TestCreation:
    def test_many_creators_at_once_make_one_session(self, fork):
        """Again and again: the session ends in between, so that creating, joining and sweeping meet."""
        counts = shared_array(1)
        with Curriculum(config("counter")):  # another session, to be left alone
            for _ in range(15):
                begin = shared_array(1)

                def join(begin=begin):
                    until(lambda: begin[0])
                    with Curriculum(config()) as curriculum:
                        play(curriculum, 10)
                        counts[0] = max(counts[0], curriculum.tracker.backend.stream)

                children = [fork(join) for _ in range(5)]
                begin[0] = 1
                assert [child.wait() for child in children] == [0] * 5
        assert counts[0] > 0

    def test_joining_and_leaving_at_once_never_gives_two_workers_one_log(self, fork):
        """Slots change hands as fast as they can; what each worker tells must be counted."""
        with Curriculum(config(eviction_rate=0.0)) as curriculum:

            def come_and_go():
                for _ in range(60):
                    with Curriculum(config(eviction_rate=0.0)) as mine:
                        play(mine, 7)

            children = [fork(come_and_go) for _ in range(4)]
            assert [child.wait() for child in children] == [0] * 4
            assert check_accounts(curriculum, num_pending=0)["num_completed"] == 4 * 60 * 7

    def test_a_joiner_waits_for_a_creator_that_is_not_done(self, fork, monkeypatch):
        waits = shared_array(1)

        def create_slowly():
            def fault(point):
                if point == "linked":
                    until(lambda: waits[0], what="the joiner to wait")

            session.fault = fault
            curriculum = Curriculum(config())
            play(curriculum, 10)
            signal.pause()

        fork(create_slowly)
        until((session.session_directory() / "shared").exists)
        monkeypatch.setattr(session, "time", clock_that_tells(waits))
        with Curriculum(config()) as curriculum:
            until(lambda: curriculum.stats()["num_completed"] == 10)
            check_accounts(curriculum, num_pending=0)
            assert curriculum.tracker.backend.num_workers == 2

    def test_a_creator_survives_a_sweeper_that_takes_the_draft(self, monkeypatch):
        swept = []

        def fault(point):
            if point == "created" and len(swept) < 3:
                (draft,) = session.session_directory().glob(".draft-*")
                draft.unlink()
                swept.append(draft)

        monkeypatch.setattr(session, "fault", fault)
        with Curriculum(config()) as curriculum:
            play(curriculum, 10)
        with Curriculum(config(None)) as curriculum:
            play(curriculum, 10)
        assert len(swept) == 3

    def test_the_name_of_a_removed_session_can_be_used_again(self):
        with Curriculum(config()) as old:
            session.remove_file(session.session_directory() / "shared", force=True)
            with Curriculum(config()) as new:
                play(old, 10)
                play(new, 20)
                assert old.stats()["num_completed"] == 10
                assert new.stats()["num_completed"] == 20


def test_the_parts_of_a_file_do_not_overlap():
    parts = FileLayout(1000, 3, 64)
    spans = sorted(
        (start, start + int(np.prod(shape)) * np.dtype(dtype).itemsize)
        for start, shape, dtype in parts.sections.values()
    )
    assert spans[0][0] == HEADER_SIZE
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))
    assert spans[-1][1] <= parts.size


def test_a_closed_backend_is_an_error():
    backend = SharedMemoryBackend("closed", 4)
    other = SharedMemoryBackend("closed", 4)
    backend.close()
    backend.close()
    for use in (backend.snapshot, lambda: backend.num_free, lambda: backend.draw(np.zeros(1)), lambda: backend.stream):
        with pytest.raises(SessionError, match="after close"):
            use()
    assert other.num_workers == 1
    other.close()
