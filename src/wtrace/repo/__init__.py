"""git through GitPython: branches and worktrees. Whatever writes holds one lock."""
