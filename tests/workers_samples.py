"""Tiny data and options for the tests of the shipped trainings."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from persistence import data, losses, options, training
from persistence.model import ModelConfig, Output

TINY = {"train": 24, "validation": 6, "test": 5}
SMALL_MODEL = ModelConfig(width=32, heads=2, feedforward=32)


def clips_of(kinds: list[str]) -> data.Clips:
    """Clips whose tokens are told by letters: p(ersistent), t(ransient), or - for padding."""
    n = max(len(word) for word in kinds)
    words = [word.ljust(n, "-") for word in kinds]
    return data.Clips(
        id=torch.arange(len(words)),
        looks=torch.zeros(len(words), n, 16, 16, 3, dtype=torch.uint8),
        frame=torch.zeros(len(words), n, dtype=torch.uint8),
        position=torch.zeros(len(words), n, 2),
        object=torch.tensor([[-1 if c == "-" else i for i, c in enumerate(word)] for word in words]).to(
            torch.int8
        ),
        persistent=torch.tensor([[c == "p" for c in word] for word in words]),
        duration=torch.tensor([[{"p": 0.75, "t": 0.25, "-": 0.0}[c] for c in word] for word in words]),
    )


def tiny_options(output: Path, **changed: Any) -> options.Options:
    """What a script would have parsed: two epochs on the CPU, in fp32, four clips a step."""
    command = ["--output", str(output), "--device", "cpu", "--precision", "fp32", "--quick"]
    given = {"max_epochs": 2, "check_every": 1, "batch_size": 4, "warmup_steps": 3, **changed}
    for name, value in given.items():
        command += [f"--{name.replace('_', '-')}", str(value)]
    parsed: argparse.Namespace = options.parser("", name="tiny").parse_args(command)
    return options.Options.of(parsed)


def objective(output: Output, clips: data.Clips) -> dict[str, Tensor]:
    """Right classes and attention on what stays, as the winner of the shipped race learns."""
    return {
        "classification": losses.classification(output.logit, clips),
        "attention": losses.attention_gap(output.attention[-1], clips, cap=0.06),
    }


def prepare(run_options: options.Options, dataset: data.Dataset, reporter: Any) -> training.Run:
    """A training of the small network, fresh or resumed."""
    info = {"approach": "tiny"}
    return training.prepare(run_options, dataset, SMALL_MODEL, objective, reporter=reporter, info=info)


def records(path: Path) -> list[dict[str, Any]]:
    """The lines of a metrics file, without what depends on the clock."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines = [line for line in lines if line["event"] != "progress"]
    for line in lines:
        line.get("metrics", {}).pop("clips_per_s", None)
    return lines
