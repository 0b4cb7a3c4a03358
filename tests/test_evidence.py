"""`wtrace evidence`: real pytest runs in real worktrees; what is kept, and what is no evidence."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from race_lab import Lab
from wtrace.publish.markdown.junit import broken_promise, read_junit

FAILS = "def test_loss():\n    assert 1 + 1 == 3, 'the loss | is <wrong>'\n\ndef test_other():\n    pass\n"
PASSES = "def test_loss():\n    assert 1 + 1 == 2\n"
NEITHER = {
    "does not import": "import no_such_module_here\n\ndef test_loss():\n    assert False\n",
    "cannot be set up": (
        "import pytest\n\n@pytest.fixture\ndef broken():\n    raise OSError('no data')\n\n"
        "def test_loss(broken):\n    assert False\n\ndef test_other():\n    assert False\n"
    ),
    "has no test": "x = 1\n",
    "skips every test": "import pytest\n\n@pytest.mark.skip\ndef test_loss():\n    assert False\n",
}


def worker(lab: Lab, tests: str) -> Path:
    """A worker's worktree with tests committed on its branch."""
    lab.race({"a": []})
    lab.wtrace("setup")
    tree = lab.root.parent / "repo-worktrees" / "a"
    (tree / "test_loss.py").write_text(tests)
    in_tree(lab, tree, "add", "test_loss.py")
    in_tree(lab, tree, "commit", "--quiet", "-m", "tests")
    return tree


def in_tree(lab: Lab, tree: Path, *args: str) -> str:
    return lab.git("-C", str(tree), *args)


def tip(lab: Lab) -> str:
    return lab.git("rev-parse", "try/a").strip()


def evidence(lab: Lab, colour: str, *args: str, expect: int = 0) -> str:
    options = ("--", "-p", "no:cacheprovider", *args)
    done = lab.wtrace("evidence", colour, "a", *options, expect=expect)
    return done.stdout + done.stderr


def test_tests_that_fail_are_kept_as_red_and_then_pass_as_green(lab: Lab) -> None:
    lab.env.pop("PYTHONDONTWRITEBYTECODE", None)
    tree = worker(lab, FAILS)
    tested = tip(lab)
    evidence(lab, "red")
    assert lab.git("rev-parse", "try/a^").strip() == tested
    changed = lab.git("diff", "--name-only", "try/a^", "try/a").split()
    assert changed == ["artifacts/red/a.junit.xml", "artifacts/red/a.md"]
    cases = ET.fromstring(lab.git("show", "try/a:artifacts/red/a.junit.xml")).findall(".//testcase")
    assert [(case.get("name"), case.find("failure") is not None) for case in cases] == [
        ("test_loss", True),
        ("test_other", False),
    ]
    page = lab.git("show", "try/a:artifacts/red/a.md")
    assert "1 failed, 1 passed (exit code 1)" in page
    assert tested in page
    assert "test_loss" in page
    assert "<wrong>" not in page.replace("`", "").split("## Every test")[0].replace("&lt;wrong&gt;", "")
    assert in_tree(lab, tree, "status", "--porcelain") == "", "its worktree moved along"
    assert not list(tree.rglob("*.pyc")), "bytecode of now could answer for a source of a moment later"
    assert (tree / "artifacts" / "red" / "a.md").read_text() == page
    assert (
        in_tree(lab, tree, "log", "-1", "--format=%(trailers:key=Wtrace-Tested,valueonly)").strip() == tested
    )

    (tree / "test_loss.py").write_text(PASSES)
    in_tree(lab, tree, "commit", "--quiet", "-am", "fixed")
    evidence(lab, "green")
    assert "1 passed (exit code 0)" in lab.git("show", "try/a:artifacts/green/a.md")
    assert lab.git("ls-tree", "-r", "--name-only", "try/a", "artifacts").split("\n")[:-1] == [
        "artifacts/green/a.junit.xml", "artifacts/green/a.md", "artifacts/red/a.junit.xml", "artifacts/red/a.md",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("colour", "tests", "says"), [("red", PASSES, "must fail"), ("green", FAILS, "must pass")]
)
def test_tests_that_do_not_do_as_promised_are_told_and_not_kept(
    lab: Lab, colour: str, tests: str, says: str
) -> None:
    tree = worker(lab, tests)
    before = tip(lab)
    assert says in evidence(lab, colour, expect=1)
    assert tip(lab) == before
    assert not (tree / "artifacts").exists()


def test_tests_that_cannot_run_are_neither(lab: Lab) -> None:
    tree = worker(lab, "")
    before = tip(lab)
    for how, tests in NEITHER.items():
        (tree / "test_loss.py").write_text(tests)
        assert "no evidence" in evidence(lab, "red", "--tb=no", expect=1), how
    assert "no evidence" in evidence(lab, "green", expect=1), "every test is skipped"
    assert tip(lab) == before


def test_a_python_without_pytest_is_no_red(lab: Lab) -> None:
    tree = worker(lab, FAILS)
    (tree / ".venv" / "bin").mkdir(parents=True)
    fake = tree / ".venv" / "bin" / "python"
    fake.write_text('#!/bin/sh\necho "No module named pytest" >&2\nexit 1\n')
    fake.chmod(0o755)
    assert "could not run" in evidence(lab, "red", expect=1)


def test_arguments_after_two_dashes_are_pytests(lab: Lab) -> None:
    worker(lab, FAILS)
    evidence(lab, "green", "-k", "other")
    assert "1 passed (exit code 0)" in lab.git("show", "try/a:artifacts/green/a.md")


def test_other_changes_in_the_worktree_stay_as_they_are_and_are_named(lab: Lab) -> None:
    tree = worker(lab, PASSES)
    (tree / "train.py").write_text("# edited\n")
    (tree / "staged.py").write_text("staged\n")
    (tree / "both.py").write_text("staged\n")
    in_tree(lab, tree, "add", "staged.py", "both.py")
    (tree / "both.py").write_text("staged, then edited\n")
    (tree / "intended.py").write_text("intended\n")
    in_tree(lab, tree, "add", "--intent-to-add", "intended.py")
    (tree / "untracked.py").write_text("untracked\n")
    asked = ("status", "--porcelain", "--untracked-files=all")
    status, staged = in_tree(lab, tree, *asked), in_tree(lab, tree, "ls-files", "--stage")
    told = evidence(lab, "green")
    assert "tested with changes that are not committed" in told
    assert in_tree(lab, tree, *asked) == status
    after = in_tree(lab, tree, "ls-files", "--stage")
    assert [line for line in after.splitlines() if "artifacts/" not in line] == staged.splitlines()
    assert (tree / "both.py").read_text() == "staged, then edited\n"
    assert "untracked.py" in lab.git("show", "try/a:artifacts/green/a.md")
    assert lab.git("diff", "--name-only", "try/a^", "try/a").split() == [
        "artifacts/green/a.junit.xml", "artifacts/green/a.md",
    ]  # fmt: skip


@pytest.mark.parametrize("state", ["untracked", "ignored", "staged"])
def test_a_file_of_the_users_in_the_place_of_the_evidence_stays(lab: Lab, state: str) -> None:
    tree = worker(lab, PASSES)
    mine = tree / "artifacts" / "green" / "a.md"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine\n")
    if state == "ignored":
        exclude = lab.root / ".git" / "info" / "exclude"
        exclude.parent.mkdir(exist_ok=True)
        exclude.write_text("artifacts/\n")
    elif state == "staged":
        in_tree(lab, tree, "add", "artifacts")
    before, status = tip(lab), in_tree(lab, tree, "status", "--porcelain")
    told = evidence(lab, "green", expect=1)
    assert "in the way" in told
    assert (mine.read_text(), tip(lab), in_tree(lab, tree, "status", "--porcelain")) == (
        "mine\n",
        before,
        status,
    )
    assert "refs/wtrace/evidence/a/green" in told
    assert "passed" in lab.git("show", "refs/wtrace/evidence/a/green:artifacts/green/a.md")


def test_a_worktree_of_the_users_own_is_not_moved(lab: Lab) -> None:
    worker(lab, PASSES)
    (lab.root / ".git" / "worktrees" / "a" / "wtrace").unlink()
    before = tip(lab)
    told = evidence(lab, "green", expect=1)
    assert tip(lab) == before
    assert "git -C" in told


def test_a_branch_that_moves_while_its_tests_run_is_not_moved_back(lab: Lab) -> None:
    commit = "import subprocess\n\ndef test_loss():\n    subprocess.run("
    commit += "['git', 'commit', '--allow-empty', '-qm', 'meanwhile'], check=True)\n"
    worker(lab, commit)
    assert "was moved while its tests ran" in evidence(lab, "green", expect=2)
    assert lab.git("log", "-1", "--format=%s", "try/a").strip() == "meanwhile"


def test_what_is_asked_must_be_there(lab: Lab) -> None:
    lab.race({"a": []})
    assert "wtrace setup" in lab.wtrace("evidence", "red", "a", expect=2).stderr
    assert "did you mean `a`" in lab.wtrace("evidence", "red", "aa", expect=2).stderr
    lab.wtrace("evidence", "blue", "a", expect=2)
    lab.wtrace("setup")
    in_tree(lab, lab.root.parent / "repo-worktrees" / "a", "switch", "--quiet", "-c", "another")
    assert "it is on another" in lab.wtrace("evidence", "red", "a", expect=2).stderr


def test_without_trust_no_test_is_run(lab: Lab) -> None:
    worker(lab, "import pathlib\npathlib.Path('ran').touch()\n\ndef test_loss():\n    pass\n")
    del lab.env["WTRACE_TRUST"]
    lab.wtrace("evidence", "green", "a", expect=2)
    assert not (lab.root.parent / "repo-worktrees" / "a" / "ran").exists()


def test_a_worker_that_races_is_left_alone(lab: Lab) -> None:
    lab.race({"a": [["mark", "up"], ["forever"]]})
    running = lab.start("run")
    lab.wait_for_mark("up")
    assert "in a race that runs" in lab.wtrace("evidence", "red", "a", expect=2).stderr
    lab.wtrace("stop")
    running.communicate(timeout=30)


@pytest.mark.parametrize("data", [b"<testsuites>", b"\xff\xfe", b'<!DOCTYPE x [<!ENTITY a "b">]><x>&c;</x>'])
def test_a_report_that_is_none_is_told(data: bytes) -> None:
    with pytest.raises(ValueError, match="no XML"):
        read_junit(data)


def test_entities_that_multiply_do_not_fill_the_memory() -> None:
    bomb = (
        '<!DOCTYPE x [<!ENTITY a0 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa">'
    )
    bomb += "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 20}">' for n in range(1, 9)) + "]><x>&a8;</x>"
    with pytest.raises(ValueError, match="no XML"):
        read_junit(bomb.encode())


def test_an_interrupted_run_is_neither() -> None:
    cases = read_junit(b"<testsuites><testcase name='a'><failure message='no'/></testcase></testsuites>")
    assert broken_promise("red", 1, cases) is None
    assert "exit code 2" in str(broken_promise("red", 2, cases))


def test_what_is_kept_holds_nothing_private(lab: Lab) -> None:
    tests = "import os\n\ndef test_key():\n    assert os.environ['HF_TOKEN'] == os.getcwd(), '/data/of-mine/x.bin'\n"
    tree = worker(lab, tests)
    lab.write_config(["a"], workers='env = { HF_TOKEN = "hf_s3cret<&>9" }')
    evidence(lab, "red")
    for name in ("a.junit.xml", "a.md"):
        kept = lab.git("show", f"try/a:artifacts/red/{name}")
        assert "test_key" in kept
        for private in ("hf_s3cret", str(tree.parent), str(lab.root), "/data/of-mine"):
            assert private not in kept
    suites = ET.fromstring(lab.git("show", "try/a:artifacts/red/a.junit.xml"))
    assert [suite.get("hostname") for suite in suites.iter("testsuite")] == [None]
