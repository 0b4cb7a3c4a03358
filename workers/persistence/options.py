"""The options that all training scripts share.

What wtrace tells a worker through its environment is the default of the option of the same name, so that a command
needs no options at all in a race, and all of them work by hand.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import torch

from persistence import cache, data
from persistence.errors import TrainingError


@dataclass(frozen=True)
class Options:
    """How one training is run; the same for every approach."""

    output: Path
    check_every: int
    max_epochs: int
    early_stop_ratio: float | None
    seed: int
    quick: bool
    own_data: Path | None
    data_cache: Path
    data_seed: int
    device: torch.device
    precision: str
    lr: float
    weight_decay: float
    warmup_steps: int
    batch_size: int
    clip_norm: float

    @classmethod
    def of(cls, args: argparse.Namespace) -> Options:
        """The shared options out of all that a script parsed."""
        values = {name: getattr(args, name) for name in cls.__dataclass_fields__}
        return cls(**values | {"device": set_up_machine(args)})

    @property
    def sizes(self) -> Mapping[str, int]:
        """How many clips each split has."""
        return data.QUICK if self.quick else data.FULL

    @property
    def recipe(self) -> dict[str, int | float | bool | str | None]:
        """What must be the same for a training to go on where it stopped."""
        names = (
            "seed",
            "quick",
            "data_seed",
            "lr",
            "weight_decay",
            "warmup_steps",
            "batch_size",
            "clip_norm",
        )
        own_data = None if self.own_data is None else str(self.own_data.resolve())
        return {"own_data": own_data, **{name: getattr(self, name) for name in names}}

    def dataset(self) -> data.Dataset:
        """The data that these options ask for; generated first where nobody has yet."""
        if self.own_data is not None:
            return data.open_own(self.own_data, self.data_cache)
        return data.open_dataset(self.data_cache, self.sizes, self.data_seed)


def parser(description: str | None, name: str) -> argparse.ArgumentParser:
    """A parser with the shared options; each script adds its own."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter, allow_abbrev=False
    )
    output = os.environ.get("WTRACE_OUTPUT") or f"outputs/{name}"
    add = parser.add_argument_group("the run").add_argument
    add(
        "--output",
        type=Path,
        metavar="DIR",
        default=output,
        help="where checkpoints go; a training that was interrupted there goes on from its last state",
    )
    add(
        "--check-every",
        type=positive,
        metavar="N",
        default=os.environ.get("WTRACE_CHECK_EVERY") or "5",
        help="judge the validation clips every N epochs, and after the last one",
    )
    add(
        "--max-epochs",
        type=positive,
        metavar="N",
        default=os.environ.get("WTRACE_MAX_EPOCHS") or "50",
        help="how long to train",
    )
    add(
        "--early-stop-ratio",
        type=float,
        metavar="R",
        default=None,
        help="by hand only: stop at the first check whose attention ratio reaches R, if accuracy (0.75), consistency "
        "(0.70) and the paired test against a ratio of 1.3 (p < 0.01) are met as well. In a race, wtrace decides",
    )
    add(
        "--seed",
        type=int,
        metavar="N",
        default=0,
        help="of the initial weights, the order of the clips, and dropout",
    )
    add_data_options(parser)
    add_machine_options(parser)
    add = parser.add_argument_group("the optimizer (AdamW)").add_argument
    add(
        "--precision",
        choices=("auto", "fp32", "bf16"),
        default="auto",
        help="of the training's matrix products; auto: bf16 where the hardware computes it",
    )
    add("--lr", type=float, metavar="X", default=5e-4, help="learning rate, after the warm-up")
    add(
        "--weight-decay",
        type=float,
        metavar="X",
        default=1e-2,
        help="decay of the weights, decoupled from the gradient",
    )
    add(
        "--warmup-steps",
        type=int,
        metavar="N",
        default=100,
        help="steps over which the learning rate rises from 0",
    )
    add("--batch-size", type=positive, metavar="N", default=16, help="clips per step")
    add("--clip-norm", type=float, metavar="X", default=1.0, help="the largest norm of a step's gradient")
    return parser


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """Which clips, and where they are kept."""
    add = parser.add_argument_group("the data").add_argument
    add(
        "--quick",
        action="store_true",
        help="1500/400/400 clips for training, validation and test, not 8000/1000/1000",
    )
    add(
        "--data",
        dest="own_data",
        type=Path,
        metavar="FOLDER",
        default=None,
        help="your own clips, as import_mot.py writes them; --quick and --data-seed say nothing about these",
    )
    add(
        "--data-cache",
        type=Path,
        metavar="DIR",
        default=cache.default_folder(),
        help="generated clips and frozen features are kept here, shared by all trainings",
    )
    add("--data-seed", type=int, metavar="N", default=0, help="of the clips themselves")


def add_machine_options(parser: argparse.ArgumentParser) -> None:
    """What computes."""
    add = parser.add_argument_group("the machine").add_argument
    add(
        "--device",
        choices=("auto", "cpu", "cuda", "mps"),
        default="auto",
        help="auto: cuda, else mps, else cpu",
    )
    add(
        "--threads",
        type=positive,
        metavar="N",
        default=1,
        help="CPU threads; the network is small, and several trainings at once want few each",
    )


def positive(text: str) -> int:
    """A whole number above 0."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not above 0")
    return value


def set_up_machine(args: argparse.Namespace) -> torch.device:
    """Take as many threads as was asked for; the device to compute on. Raises TrainingError where there is none."""
    torch.set_num_threads(args.threads)
    return choose_device(args.device)


def choose_device(name: str) -> torch.device:
    """The device of that name; "auto": the first of cuda, mps, cpu that is there. Raises TrainingError."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(device for device, available in there.items() if available))
    if not there[name]:
        raise TrainingError(f"--device {name}: there is none on this machine; try --device auto")
    return torch.device(name)


def computes_bf16(device: torch.device) -> bool:
    """Whether the hardware multiplies in bf16. Where it does not, bf16 is emulated, and slower than fp32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    able = torch.cpu.get_capabilities()
    return device.type == "cpu" and bool(able.get("avx512_bf16") or able.get("amx_bf16"))


def run_script(main: Callable[[], None]) -> NoReturn:
    """Run a script's `main`; what it cannot do is told in one line on standard error, with exit code 1."""
    code = 0
    try:
        main()
    except TrainingError as error:
        print(f"{Path(sys.argv[0]).name}: {error}", file=sys.stderr)
        code = 1
    gc.freeze()  # else the interpreter searches torch's million objects for garbage before it leaves: 0.6 s
    sys.exit(code)
