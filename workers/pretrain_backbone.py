"""Train a ResNet-18 by self-supervision on crops of clips that no split contains, and keep its weights in the cache.

`train_pretrained.py --weights self-supervised` does the same where nobody has yet; by hand it can be done with another
recipe. No labels are looked at: two views of one object come together, and all others apart (SimCLR).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

from persistence import cache, options, reporting, selfsupervision, stopping


def main() -> None:
    """Pre-train from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter, allow_abbrev=False
    )
    parser.add_argument(
        "--quick", action="store_true", help="the recipe of the quick race: smaller in everything"
    )
    parser.add_argument(
        "--data-cache",
        type=Path,
        metavar="DIR",
        default=cache.default_folder(),
        help="where weights are kept, by recipe",
    )
    add_recipe_options(parser)
    options.add_machine_options(parser)
    args = parser.parse_args()
    device = options.set_up_machine(args)
    try:
        with stopping.stopped_at_once():
            path = selfsupervision.weights_file(args.data_cache, recipe_of(args), device)
        reporting.say(f"{recipe_of(args).description}: {path}")
    except stopping.Stopped:
        reporting.say("told to stop: leaving")


def add_recipe_options(parser: argparse.ArgumentParser) -> None:
    """What departs from the recipe; an option that is not given is not set at all."""
    add = parser.add_argument_group(
        "another recipe (default: as the full or the quick race has it)"
    ).add_argument

    def add_number(name: str, what: str, kind: Callable[[str], int] = options.positive) -> None:
        add(name, type=kind, metavar="N", default=argparse.SUPPRESS, help=what)

    add_number("--clips", "clips to take objects from")
    add_number("--steps", "steps of the optimizer")
    add_number("--pairs", "objects per step, two views of each")
    add_number("--side-px", "the 16x16 crops are enlarged to this")
    add_number("--seed", "of the initial weights, the clips and the views", int)


def recipe_of(args: argparse.Namespace) -> selfsupervision.Recipe:
    """The recipe that was asked for."""
    recipe = selfsupervision.QUICK if args.quick else selfsupervision.FULL
    given = {field.name: getattr(args, field.name) for field in fields(recipe) if hasattr(args, field.name)}
    return replace(recipe, **given)


if __name__ == "__main__":
    options.run_script(main)
