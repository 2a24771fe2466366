"""Which commit a script was run from, read from the files of its git repository; no process is started."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["git_commit"]

_HASH = re.compile(r"[0-9a-f]{40,64}")


def git_commit(script: Path | None) -> dict[str, str]:
    """Return {"commit", "branch"} of the repository around `script` (or the working folder); {} where there is none."""
    try:
        start = (script.parent if script else Path()).resolve()
        for folder in (start, *start.parents):
            if (folder / ".git").exists():
                return _head(_git_folder(folder / ".git"))
    except (OSError, ValueError):
        return {}
    return {}


def _git_folder(entry: Path) -> Path:
    """Return the folder that a `.git` stands for: a worktree or a submodule has a file that names it."""
    if entry.is_dir():
        return entry
    return (entry.parent / entry.read_text(encoding="utf-8").partition("gitdir:")[2].strip()).resolve()


def _head(git: Path) -> dict[str, str]:
    head = (git / "HEAD").read_text(encoding="utf-8").strip()
    if _HASH.fullmatch(head):
        return {"commit": head}
    name = head.partition("ref:")[2].strip()
    commit = _reference(git, name)
    return {"commit": commit, "branch": name.removeprefix("refs/heads/")} if _HASH.fullmatch(commit) else {}


def _reference(git: Path, name: str) -> str:
    common = git / "commondir"
    folders = [git, (git / common.read_text(encoding="utf-8").strip()).resolve()] if common.exists() else [git]
    for folder in folders:
        loose = folder / name
        if loose.is_file():
            return loose.read_text(encoding="utf-8").strip()
        packed = folder / "packed-refs"
        if packed.is_file():
            for line in packed.read_text(encoding="utf-8").splitlines():
                commit, _, found = line.partition(" ")
                if found == name:
                    return commit
    return ""
