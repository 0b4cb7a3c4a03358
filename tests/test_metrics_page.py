"""The page about metrics that are there already: its configs are configs, and they find what its examples hold."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from wtrace.config import sources
from wtrace.config.load import parse
from wtrace.config.spec import RaceSpec
from wtrace.metrics.foreign.csv_file import CsvFile
from wtrace.metrics.foreign.log_lines import LogLines
from wtrace.metrics.foreign.rows import Reading

PAGE = (Path(__file__).parents[1] / "docs" / "how-to" / "read-metrics-you-already-have.md").read_text("utf-8")
BLOCKS = re.findall(r"```(toml|text)\n(.*?)```", PAGE, re.DOTALL)
CONFIGS = [block for language, block in BLOCKS if language == "toml"]
SAMPLES = [block for language, block in BLOCKS if language == "text"]

REST = {
    "race": '[race]\nname = "page"\n',
    "success": '[success]\nloss = "loss <= 1"\n',
    "workers": '[workers.a]\nbranch = "a"\ncommand = ["a"]\n',
}


def config(block: str) -> RaceSpec:
    rest = [text for name, text in REST.items() if f"[{name}" not in block]
    return parse(block + "".join(rest))


@pytest.mark.parametrize("block", CONFIGS)
def test_each_config_of_the_page_is_one(block: str) -> None:
    assert not sources.is_own(config(block).metrics)


def test_the_page_has_an_example_of_every_source() -> None:
    told = {config(block).metrics.source for block in CONFIGS}
    assert told == {"stdout", "csv", "tensorboard", "hf"}
    assert all(path in PAGE for path in sources.DEFAULT_PATHS.values())


@pytest.mark.parametrize(
    ("number", "epochs"),
    [
        (0, [(3, {"val_loss": 0.159, "acc": 96.0})]),
        (1, [(3, {}), (None, {"loss": 2.2983, "val_loss": 2.1575})]),
        (2, [(None, {"reward": 21.5}), (2048, {})]),
        (3, [(None, {"val_bpb": 0.9979})]),
        (4, [(3, {"train_loss": 0.5, "val_loss": 0.4})]),
        (5, [
            (0, {"train_loss_step": 0.19597715139389038}),
            (0, {"val_acc": 0.8840000033378601, "val_loss": 0.26302123069763184}),
            (0, {"train_loss_epoch": 0.38966837525367737}),
        ]),
    ],
)  # fmt: skip
def test_the_examples_hold_what_their_configs_find(
    tmp_path: Path, number: int, epochs: list[tuple[float | None, dict[str, float]]]
) -> None:
    metrics = config(CONFIGS[number]).metrics
    path = tmp_path / "sample"
    path.write_text(SAMPLES[number])
    key = sources.epoch_key(metrics) or ""
    reader = CsvFile(path, key) if metrics.source == "csv" else LogLines(path, key, pattern=metrics.pattern)
    items, _ = reader.read()
    assert [(item.epoch, item.values) for item in items if isinstance(item, Reading)] == epochs
