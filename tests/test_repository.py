"""The commit that a script was run from, read without starting git."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from loghook.repository import git_commit

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="there is no git to make repositories with")


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder, as somebody, with no configuration; return what it says."""
    identity = {
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@b",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@b",
    }
    env = {"PATH": "/usr/bin:/bin:/usr/local/bin", "GIT_CONFIG_NOSYSTEM": "1", "HOME": str(folder), **identity}
    command = [
        "git",
        "-C",
        str(folder),
        "-c",
        "init.defaultBranch=main",
        "-c",
        "protocol.file.allow=always",
        *arguments,
    ]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one commit, on the branch feature/x."""
    folder = tmp_path / "project"
    folder.mkdir()
    git(folder, "init", "-q")
    git(folder, "checkout", "-q", "-b", "feature/x")
    git(folder, "commit", "-q", "--allow-empty", "-m", "first")
    return folder


def read(folder: Path) -> dict[str, str]:
    """What a script in this folder finds."""
    return git_commit(folder / "train.py")


@needs_git
def test_a_branch_has_commit_and_name(repository: Path) -> None:
    """On a branch the commit and the branch's name are known, slashes and all."""
    assert read(repository) == {"commit": git(repository, "rev-parse", "HEAD"), "branch": "feature/x"}


@needs_git
def test_a_script_may_lie_deep_inside(repository: Path) -> None:
    """The repository is looked for in the script's folder and above."""
    assert read(repository / "src" / "models") == read(repository)


@needs_git
def test_without_a_script_the_working_folder_counts(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a prompt or a notebook the working folder tells the repository."""
    monkeypatch.chdir(repository)
    assert git_commit(None) == read(repository)


@needs_git
def test_packed_references_are_read(repository: Path) -> None:
    """A branch whose reference git has packed is found all the same."""
    before = read(repository)
    git(repository, "pack-refs", "--all")
    assert not (repository / ".git" / "refs" / "heads" / "feature" / "x").exists()
    assert read(repository) == before


@needs_git
def test_a_detached_head_has_a_commit_and_no_branch(repository: Path) -> None:
    """Without a branch the commit alone is told."""
    git(repository, "checkout", "-q", "--detach")
    assert read(repository) == {"commit": git(repository, "rev-parse", "HEAD")}


@needs_git
def test_a_worktree_has_its_own_head(repository: Path, tmp_path: Path) -> None:
    """A worktree tells its own branch, whose reference lies with the main one."""
    git(repository, "worktree", "add", "-q", "-b", "side", str(tmp_path / "side"))
    git(tmp_path / "side", "commit", "-q", "--allow-empty", "-m", "second")
    assert read(tmp_path / "side") == {"commit": git(tmp_path / "side", "rev-parse", "HEAD"), "branch": "side"}
    git(repository, "pack-refs", "--all")
    assert read(tmp_path / "side")["branch"] == "side"
    assert read(tmp_path / "side") != read(repository)


@needs_git
def test_a_submodule_has_its_own_head(repository: Path, tmp_path: Path) -> None:
    """A submodule tells its own commit, not that of the repository around it."""
    outer = tmp_path / "outer"
    outer.mkdir()
    git(outer, "init", "-q")
    git(outer, "submodule", "--quiet", "add", str(repository), "inner")
    git(outer, "commit", "-q", "-m", "with a submodule")
    assert read(outer / "inner")["commit"] == git(repository, "rev-parse", "HEAD")
    assert read(outer)["commit"] == git(outer, "rev-parse", "HEAD")


@needs_git
def test_a_repository_without_a_commit_tells_nothing(tmp_path: Path) -> None:
    """Before the first commit there is nothing to tell."""
    git(tmp_path, "init", "-q")
    assert read(tmp_path) == {}


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe\x00", b"nonsense", b"ref: ", b"ref: ../../../etc/passwd", b"gitdir:"]
)
def test_a_broken_repository_tells_nothing(tmp_path: Path, content: bytes) -> None:
    """A HEAD, or a .git file, of any other content is as good as none."""
    head = tmp_path / "one" / ".git"
    head.mkdir(parents=True)
    (head / "HEAD").write_bytes(content)
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / ".git").write_bytes(content)
    assert read(tmp_path / "one") == {}
    assert read(tmp_path / "two") == {}


def test_only_a_commit_is_told(tmp_path: Path) -> None:
    """A reference that leads to some other file does not have that file's content told."""
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "HEAD").write_text("ref: ../secret")
    (tmp_path / "secret").write_text("a password")
    assert read(tmp_path) == {}


def test_outside_of_a_repository_there_is_nothing(tmp_path: Path) -> None:
    """A script that lies in no repository, or nowhere any more, has no commit."""
    assert git_commit(tmp_path / "gone" / "train.py") == {}
