"""git: branches and worktrees. Whatever writes holds one lock."""
