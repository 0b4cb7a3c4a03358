"""`wtrace notify test`: whether the addresses that notices go to are reached."""

from __future__ import annotations

from typing import Annotated

import typer

from wtrace.cli.common import ConfigOption, TrustOption, find_root, read_config, require_trust
from wtrace.errors import UsageError
from wtrace.text import plain

REACHED, NOT_REACHED = 0, 4


def notify(
    what: Annotated[str, typer.Argument(metavar="test", help="What to send.")],
    config: ConfigOption = None,
    trust: TrustOption = False,
) -> int:
    """Send a test to each address under [notify], and say which were reached.

    Exit code 0: all were; 4: one was not.
    """
    from wtrace.publish.notify.notices import trial_notice
    from wtrace.publish.notify.sender import shown, try_out

    if what != "test":
        raise UsageError(f"{what} cannot be sent", hint="wtrace notify test")
    root = find_root()
    spec = read_config(root, config)
    if not spec.notify_urls:
        raise UsageError(
            "this config tells nobody anything",
            hint='[notify] urls = ["desktop://", "ntfy://A-TOPIC-OF-YOURS"], for instance',
        )
    require_trust(root, spec, approve=trust)
    answers = try_out(spec.notify_urls, trial_notice(spec.name))
    for index, (url, why) in enumerate(zip(spec.notify_urls, answers, strict=True)):
        where = f"notify.urls[{index}] ({shown(url)})"
        print(plain(f"ok       {where}" if why is None else f"problem  {where}: {why}"))
    return NOT_REACHED if any(why is not None for why in answers) else REACHED
