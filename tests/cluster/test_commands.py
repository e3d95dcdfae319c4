"""The commands that look at clusters: followers among the sessions, and the replay of a journal."""

from typer.testing import CliRunner

from curricular import __version__
from curricular.backends import session
from curricular.cli import app
from curricular.cluster.follower import close_node


def run(*arguments):
    return CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "120"})


def cells(output, first):
    line = next(line for line in output.splitlines() if line.startswith("│") and first in line)
    return [cell.strip() for cell in line.strip("│").split("│")]


def test_a_follower_is_listed_with_its_hub_and_its_outbox(cluster):
    node = cluster.join()
    node.play(1500)
    followers = run("sessions", "list").output.partition("last answer")[2]
    assert cells(followers, "maze.node0") == ["maze.node0", "maze", "0 s", "0.1"]


def test_a_follower_with_results_for_its_hub_is_removed_only_by_force(cluster):
    node = cluster.join()
    node.play(3)
    node.workers[0].close()
    close_node(node.path)
    refused = run("sessions", "remove", "maze.node0")
    assert refused.exit_code == 1
    assert "expected no results that its hub has not confirmed" in refused.stderr
    assert run("sessions", "remove", "maze.node0", "--force").exit_code == 0
    assert session.sweep() == []


def test_clean_removes_what_no_process_holds_and_undelivered_results_only_by_force(cluster):
    assert run("sessions", "clean").output == "no sessions\n"
    nodes = [cluster.join() for _ in range(3)]
    nodes[0].play(3)
    nodes[2].play(3)
    for node in nodes[:2]:
        node.workers[0].close()
        close_node(node.path)
    assert run("sessions", "list").output.count("maze.node") == 6
    kept = run("sessions", "clean")
    assert "removed session maze.node1" in kept.output
    assert "kept session maze.node0: hub 'maze', which last answered 0 s ago, has not confirmed all" in kept.output
    assert run("sessions", "clean", "--force").output == "removed session maze.node0\n"
    nodes[2].deliver()
    assert cluster.counters.num_completed == 3


def test_a_replay_prints_nodes_and_the_account(cluster):
    node = cluster.join()
    node.play(200)
    node.workers[0].ask(3)
    node.deliver()
    done = run("replay", cluster.directory)
    assert done.exit_code == 0
    assert f"maze: 2 records after checkpoint 00000001-00000000, written by curricular {__version__}" in done.output
    assert cells(done.output, "node0") == ["1", "node0", "1", "3", ""]
    account = dict(line.rsplit(maxsplit=1) for line in done.output.splitlines()[-7:])
    assert (account["scheduled"], account["pending"], account["balance"]) == ("203", "3", "0")
    cluster.hub.bury("node0")
    assert cells(run("replay", cluster.directory).output, "node0") == ["1", "node0", "1", "0", "lost"]


def test_a_replay_names_what_is_wrong(cluster, tmp_path):
    for arguments, expected in [
        ([tmp_path], "directory: expected a journal in"),
        ([cluster.directory, "--tasks", "no_such_module:tasks"], "tasks: expected module:name of the cluster's tasks"),
        ([cluster.directory, "--tasks", "string:digits"], "tasks: expected a list of configurations"),
        ([cluster.directory, "--tasks", "keyword:kwlist"], "on the command line with --tasks module:name"),
    ]:
        done = run("replay", *arguments)
        assert done.exit_code == 1
        assert expected in done.stderr
