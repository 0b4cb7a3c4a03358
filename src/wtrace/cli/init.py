"""`wtrace init`: write a commented `wtrace.toml` for this repo."""

from __future__ import annotations

from wtrace.cli.common import CONFIG_NAME, find_root
from wtrace.errors import ToolError, UsageError


def init() -> None:
    """Write a commented wtrace.toml from the branches and training scripts of this repo; never overwrites one."""
    from wtrace.core.template import config_template
    from wtrace.repo.survey import survey

    root = find_root()
    path = root / CONFIG_NAME
    if path.exists() or path.is_symlink():
        raise UsageError(f"{path} is there already", hint="edit it, or move it away first")
    found = survey(root)
    script = found.scripts[0] if found.scripts else None
    text = config_template(
        name=root.name,
        base=found.base,
        branches=found.racing,
        script=None if script is None else script.path,
        options=() if script is None else script.options,
        framework=None if script is None else script.framework,
    )
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise ToolError(f"cannot write {path}", seen=str(error)) from error
    print(f"wrote {path}: edit the criteria and the commands, then `wtrace run`")
