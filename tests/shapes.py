"""What real trainings print and write, byte by byte, and what must be read of it: a new shape is one row.

Each row holds the bytes, the `[metrics]` table, the criterion, how the worker ends, and the checks that follow. The
texts are typed after what the named programs print, shortened in their numbers of steps; with logs of real trainings
by Keras 3.15, Transformers 5.24, tqdm 4.70, xgboost 3.2, LightGBM 4.7 and stable-baselines3 2.9 they were compared.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from event_samples import event_file

End = Literal["exit 0", "crash", "running"]
Checks = list[tuple[int, dict[str, float]]]


@dataclass(frozen=True)
class Shape:
    """`content`: the log, or files by their paths in the output folder. `hints`: parts of what must be told."""

    name: str
    content: str | bytes | Mapping[str, str | bytes]
    metrics: str
    checks: Checks
    criterion: str = "loss <= 0.3"
    check_every: int = 1
    max_epochs: int = 8
    end: End = "exit 0"
    hints: tuple[str, ...] = ()
    quiet: bool = field(default=True)  # nothing else is told

    @property
    def files(self) -> dict[str, bytes]:
        """The bytes by path; the log is called `training.log`."""
        given = self.content if isinstance(self.content, Mapping) else {"training.log": self.content}
        return {path: text if isinstance(text, bytes) else text.encode() for path, text in given.items()}


BAR = r"""from = "stdout"
pattern = 'Epoch (?P<epoch>\d+)/\d+.*loss=(?P<loss>[^\],]+)'"""
LINES = r"""from = "stdout"
pattern = 'epoch (?P<epoch>\d+) loss (?P<loss>\S+)'"""
JSON = 'from = "stdout"'


def bar(epoch: int, *losses: float, steps: int = 30, of: int = 8) -> str:
    """A progress bar of tqdm that is rewritten at each step; its line has not ended."""
    at = [round(n * steps / max(1, len(losses) - 1)) for n in range(len(losses))]
    return "".join(
        f"\rEpoch {epoch}/{of}: {100 * n // steps:3d}%|{'█' * (n // 3):10}| {n}/{steps} [00:00<00:01, 25.10it/s, loss={loss:.3f}]"
        for n, loss in zip(at, losses, strict=True)
    )


def keras(epoch: int, first: str, last: str, of: int = 3) -> str:
    """As `model.fit` prints an epoch into a file (Keras 3, verbose=1)."""
    return (
        f"Epoch {epoch}/{of}\n\r\x1b[1m  1/100\x1b[0m \x1b[37m━━━━━━━━━━\x1b[0m \x1b[1m4s\x1b[0m 45ms/step - {first}"
        + "\b" * 60
        + f"\r\x1b[1m100/100\x1b[0m \x1b[32m━━━━━━━━━━\x1b[0m\x1b[37m\x1b[0m \x1b[1m0s\x1b[0m 2ms/step - {last}\n"
    )


KERAS = r"""from = "stdout"
pattern = 'Epoch (?P<epoch>\d+)/|- accuracy: (?P<accuracy>\S+)'"""

REWRITTEN = [
    Shape(
        "tqdm: a bar that is rewritten is what it shows at its end",
        bar(1, 0.05, 2.0, 1.5) + "\n" + bar(2, 1.0, 0.9, 0.25) + "\n",
        BAR,
        [(1, {"loss": 1.5}), (2, {"loss": 0.25})],
        end="running",
    ),
    Shape(
        "tqdm: a bar that was left in the middle counts when the next epoch begins",
        bar(1, 0.05, 2.0).replace("30/30", "1/30") + "…\n" + bar(2, 0.1) + "\n",
        BAR,
        [(1, {"loss": 2.0})],
        end="crash",
    ),
    Shape("tqdm: a bar without an end, exit 0", bar(1, 0.9, 0.2), BAR, [(1, {"loss": 0.2})], max_epochs=1),
    Shape("tqdm: a bar without an end, crash", bar(1, 0.9, 0.2), BAR, [], end="crash"),
    Shape("tqdm: a bar without an end, running", bar(1, 0.9, 0.2), BAR, [], end="running"),
    Shape(
        "tqdm: a bar of epochs with one of steps below it",
        "\rEpoch 1/8:   0%|          | 0/8 [00:00<?, ?it/s]"
        + "".join(
            f"\n\r  step: 100%|██████████| 30/30 [00:00<00:00]\x1b[A\rEpoch {n}/8:  12%|█▎        | {n}/8 [00:01<00:07, loss={loss}]"
            for n, loss in ((1, 0.9), (2, 0.2), (3, 0.4))
        )
        + "\n\nEpoch 8/8: done, loss=0.1\nbye\n",
        BAR,
        [(3, {"loss": 0.4}), (8, {"loss": 0.1})],
    ),
    Shape(
        "keras: steps in one line, backspaces",
        "Epoch 1/3\n\r1/100 - accuracy: 0.9375\b\b\b\r100/100 - accuracy: 0.7340\n",
        KERAS,
        [(1, {"accuracy": 0.734})],
        criterion="accuracy >= 0.9",
        end="running",
    ),
    Shape(
        "keras: as fit prints it",
        keras(1, "accuracy: 0.9375 - loss: 2.9", "accuracy: 0.7340 - loss: 1.0 - val_accuracy: 0.8000")
        + keras(2, "accuracy: 0.7000 - loss: 0.9", "accuracy: 0.9500 - loss: 0.2 - val_accuracy: 0.9100"),
        KERAS,
        [(1, {"accuracy": 0.734}), (2, {"accuracy": 0.95})],
        criterion="accuracy >= 0.9",
        end="running",
    ),
    Shape(
        "a bar and a record on one line",
        '\r  2%|#  | 1/50 [00:01<00:49]{"epoch": 2, "loss": 0.3}\n',
        JSON,
        [(2, {"loss": 0.3})],
        end="running",
    ),
    Shape(
        "a bar and a line that a pattern finds",
        "\r  2%|#  | 1/50 [00:01<00:49]epoch 2 loss 0.3\n",
        LINES,
        [(2, {"loss": 0.3})],
        end="running",
    ),
    Shape(
        "a record that was written over is none",
        '{"epoch": 2, "loss": 0.1}\rdone                          \n{"epoch": 3, "loss": 0.3}\n',
        JSON,
        [(3, {"loss": 0.3})],
        end="running",
    ),
    Shape(
        "rich: a live display that erases its lines",
        "\x1b[?25lepoch 1 loss 0.1\r\x1b[2Kepoch 1 loss 0.7\n\r\x1b[1A\x1b[2Kepoch 1 loss 0.6\n\x1b[?25hepoch 2 loss 0.2\nend\n",
        LINES,
        [(1, {"loss": 0.7}), (2, {"loss": 0.2})],
        hints=("epoch 1 is reported again with another loss",),
    ),
    Shape(
        "a bar of hours before the line that counts",
        "\r 10%|#   |" * 200_000 + "\r\x1b[32mepoch 1 \x1b[1mloss 0.5\x1b[0m\n",
        LINES,
        [(1, {"loss": 0.5})],
        end="running",
    ),
    Shape(
        "lines that end as on Windows",
        "epoch 1 loss 0.5\r\nepoch 2 loss 0.2\r\n",
        LINES,
        [(1, {"loss": 0.5}), (2, {"loss": 0.2})],
        end="running",
    ),
]

HALVES = [
    Shape(
        "a fraction of an epoch closes none",
        '{"epoch": 0.5, "val_loss": 0.1}\n{"epoch": 0.9, "val_loss": 0.1}\n{"epoch": 1.2, "val_loss": 0.1}\n',
        JSON,
        [],
        criterion="val_loss <= 0.2",
        hints=("epoch 1 is no check: val_loss was read amid it and not at its end",),
    ),
    Shape(
        "a fraction of an epoch is none though the pattern's group ends before the point",
        "epoch 0.5 loss 0.1\nepoch 1.0 loss 0.9\nepoch 1.5 loss 0.1\nepoch 2.0 loss 0.2\n",
        "from = \"stdout\"\npattern = 'epoch (?P<epoch>\\d+).* loss (?P<loss>\\S+)'",
        [(1, {"loss": 0.9}), (2, {"loss": 0.2})],
        end="running",
    ),
    Shape(
        "an epoch and a step with a point between them",
        "at 1.5 loss 0.1\nat 1.30 loss 0.9\nat 2.5 loss 0.1\n",
        "from = \"stdout\"\npattern = 'at (?P<epoch>\\d+)\\.(?P<step>\\d+) loss (?P<loss>\\S+)'",
        [(1, {"loss": 0.9})],
        end="running",
    ),
    Shape(
        "4.1 is not epoch 5",
        '{"epoch": 4.1, "val_loss": 0.1}\n{"epoch": 5.0, "val_loss": 0.4}\n{"epoch": 5.1, "val_loss": 0.1}\n',
        JSON,
        [(5, {"val_loss": 0.4})],
        criterion="val_loss <= 0.2",
        check_every=5,
        end="running",
    ),
    *(
        Shape(
            f"a counter of steps, {end}",
            "Epoch 2 [29/30] loss=0.900\nEpoch 3 [1/30] loss=0.050\n",
            "from = \"stdout\"\npattern = 'Epoch (?P<epoch>\\d+) \\[\\d+/\\d+\\] loss=(?P<loss>\\S+)'",
            [(2, {"loss": 0.9}), *([(3, {"loss": 0.05})] if end == "exit 0" else [])],
            end=end,
        )
        for end in ("crash", "running", "exit 0")
    ),
    *(
        Shape(
            f"a group for the {name}, crash",
            f"epoch 1 {name} 0 loss 0.1\nepoch 1 {name} 1 loss 0.8\nepoch 2 {name} 0 loss 0.1\n",
            f"from = \"stdout\"\npattern = 'epoch (?P<epoch>\\d+) \\w+ (?P<{name}>\\d+) loss (?P<loss>\\S+)'",
            [(1, {"loss": 0.8})],
            end="crash",
        )
        for name in ("batch_idx", "iters", "Step", "global_step", "step", "it", "batch")
    ),
    Shape(
        "JSON with a batch_idx, running",
        '{"epoch": 1, "batch_idx": 0, "loss": 0.1}\n{"epoch": 1, "batch_idx": 9, "loss": 0.7}\n{"epoch": 2, "batch_idx": 0, "loss": 0.1}\n',
        JSON,
        [(1, {"loss": 0.7})],
        end="running",
    ),
    Shape(
        "the examples of PyTorch: ImageNet",
        "Epoch: [0][  1/5005]\tTime  0.450 ( 0.450)\tLoss 0.1000e+00 (6.9e+00)\tAcc@1   0.00 (  0.00)\n"
        "Epoch: [0][  5005/5005]\tTime  0.450 ( 0.450)\tLoss 6.8000e+00 (6.9e+00)\tAcc@1   0.00 (  0.00)\n"
        "Epoch: [1][  1/5005]\tTime  0.450 ( 0.450)\tLoss 0.1000e+00 (6.9e+00)\tAcc@1   0.00 (  0.00)\n",
        "from = \"stdout\"\nfirst_epoch = 0\npattern = 'Epoch: \\[(?P<epoch>\\d+)\\].*Loss (?P<loss>\\S+)'",
        [(1, {"loss": 6.8})],
        end="running",
        hints=("epoch 0 is reported again with another loss",),
    ),
    Shape(
        "the same epoch again and again, no step named",
        "epoch 1 loss 0.9\nepoch 1 loss 0.8\nepoch 2 loss 0.1\nepoch 2 loss 0.7\nepoch 3 loss 0.1\n",
        LINES,
        [(1, {"loss": 0.9}), (2, {"loss": 0.7})],
        end="running",
        hints=("name a group or a key `step`",),
    ),
    Shape(
        "a script that trains twice",
        "".join(f"epoch {n} loss 0.{9 - n}\n" for n in (1, 2, 3, 1, 2, 3)),
        LINES,
        [(1, {"loss": 0.8}), (2, {"loss": 0.7}), (3, {"loss": 0.6})],
        end="running",
        hints=("epoch 1 is reported again after 3: it trains more than once in one attempt",),
    ),
    Shape(
        "ranks that disagree",
        '[rank0]: {"epoch": 1, "loss": 0.5}\n[rank1]: {"epoch": 1, "loss": 0.6}\n',
        JSON,
        [(1, {"loss": 0.5})],
        end="running",
        hints=("if several processes print, let one of them print",),
    ),
    Shape(
        "a torn last line, crash",
        "epoch 1 loss 0.9\nepoch 2 loss 0.2",
        LINES,
        [(1, {"loss": 0.9})],
        end="crash",
    ),
    Shape(
        "a last line without newline, exit 0",
        "epoch 1 loss 0.9\nepoch 2 loss 0.2",
        LINES,
        [(1, {"loss": 0.9}), (2, {"loss": 0.2})],
        max_epochs=2,
    ),
    Shape(
        "a CSV file whose last row is torn, crash",
        {"metrics.csv": "epoch,loss\n1,0.9\n2,0.2"},
        'from = "csv"',
        [(1, {"loss": 0.9})],
        end="crash",
    ),
    Shape(
        "lightning: rows of one epoch, crash amid the next",
        {"logs/metrics.csv": "epoch,step,train_loss,val_loss\n0,9,0.5,\n0,9,,0.4\n1,19,0.3,\n1,19,,0.1\n"},
        'from = "csv"\nfirst_epoch = 0',
        [(1, {"train_loss": 0.5, "val_loss": 0.4})],
        criterion="val_loss <= 0.2",
        end="crash",
    ),
    Shape(
        "hugging face: evaluated amid epochs",
        {
            "checkpoint-9/trainer_state.json": json.dumps(
                {
                    "log_history": [
                        {"epoch": 0.6, "eval_loss": 0.1, "step": 3},
                        {"epoch": 1.2, "eval_loss": 0.1, "step": 6},
                    ]
                }
            )
        },
        'from = "hf"',
        [],
        criterion="eval_loss <= 0.2",
        end="running",
        hints=("eval_loss was read amid it",),
    ),
]


def one(text: str, loss: float, **more: str) -> Shape:
    """A line of a log in which `loss` is what stands."""
    pattern = more.get("pattern", r"epoch (?P<epoch>\d+).*?loss[=: ]+(?P<loss>\S+)")
    return Shape(
        f"numbers: {text.strip()!r}",
        text,
        f"from = \"stdout\"\npattern = '''{pattern}'''",
        [(1, {"loss": loss})],
        end="running",
    )


NUMBERS = [
    one("epoch 1 {'loss': 0.5}\n", 0.5, pattern=r"epoch (?P<epoch>\d+).*'loss': (?P<loss>\S+)"),
    one("epoch 1 (loss=0.5)\n", 0.5),
    one("epoch 1 [lr=0.1, loss=0.5]\n", 0.5),
    one("epoch 1 loss=0.5, acc=0.9\n", 0.5),
    one("epoch 1 loss: 97.5%\n", 97.5),
    one("epoch 1 loss: 0.5.\n", 0.5),
    one("epoch 1 loss: np.float64(0.93)\n", 0.93),
    one("epoch 1 loss: tensor(0.1, device='cuda:0')\n", 0.1),
    one("epoch 1 loss: tensor(0.1234, grad_fn=<NllLossBackward0>)\n", 0.1234),
    one("epoch 1 loss: 1,234.5\n", 1234.5),
    one("epoch 1; loss: 0,42; acc: 0,9\n", 0.42),
    one("epoch 1 loss: 9.9e-05, lr 1\n", 9.9e-05, pattern=r"epoch (?P<epoch>\d+) loss: (?P<loss>[\d.]+)"),
    one("epoch 1 loss: 5e-2.\n", 0.05, pattern=r"epoch (?P<epoch>\d+) loss: (?P<loss>\d+)"),
    one("epoch 1 loss: 3 of 1.2.3\n", 3.0, pattern=r"epoch (?P<epoch>\d+) loss: (?P<loss>\d+)"),
    one("epoch 1: loss 2.5.1\n", 2.0, pattern=r"epoch (?P<epoch>\d+): loss (?P<loss>\d+)"),  # no number
    one("\x1b[1mepoch\x1b[0m 1 loss: \x1b[32m0.\x1b[1m5\x1b[0m\n", 0.5),
    one("2026-11-01 10:00:00.123 | INFO     | __main__:train:12 - epoch 1 loss 0.5\n", 0.5),
    Shape(
        "hugging face: printed dicts with quoted numbers",
        "{'eval_loss': '0.4137', 'eval_accuracy': '0.93', 'eval_runtime': '1.2', 'epoch': '1'}\n",
        "from = \"stdout\"\npattern = \"'eval_accuracy': (?P<acc>\\\\S+).*'epoch': (?P<epoch>\\\\S+)\"",
        [(1, {"acc": 0.93})],
        criterion="acc >= 0.9",
        end="running",
    ),
    Shape(
        "loguru: a record of JSON behind its prefix",
        '2026-11-01 10:00:00 | INFO | valid | {"epoch": 1, "loss": "0.25"}\n',
        JSON,
        [(1, {"loss": 0.25})],
        end="running",
    ),
    Shape(
        "torchrun: a rank before a record, of text and numbers",
        '[rank0]: {"epoch": 1, "loss": 0.25, "note": "best"}\n',
        JSON,
        [(1, {"loss": 0.25})],
        end="running",
    ),
    Shape(
        "a date before a record",
        '[2026-11-01 10:00:00,123] {"epoch": 1, "loss": 0.25}\n',
        JSON,
        [(1, {"loss": 0.25})],
        end="running",
    ),
    Shape(
        "coloured JSON",
        '\x1b[32m{"epoch": 1, "loss": \x1b[1m0.25}\x1b[0m\n',
        JSON,
        [(1, {"loss": 0.25})],
        end="running",
    ),
    Shape(
        "nested JSON",
        '{"epoch": 1, "eval": {"acc": 0.9, "f1": {"macro": 0.8}}}\n',
        JSON,
        [(1, {"eval.acc": 0.9, "eval.f1.macro": 0.8})],
        criterion="'eval.acc' >= 0.9",
        end="running",
    ),
    Shape(
        "two records on one line",
        '{"epoch": 1, "loss": 0.5}{"epoch": 2, "loss": 0.25}\n',
        JSON,
        [(1, {"loss": 0.5}), (2, {"loss": 0.25})],
        end="running",
    ),
    *(
        Shape(
            f"a log in {encoding}",
            "epoch 1 loss 0.5\r\nepoch 2 loss 0.25\r\n".encode(encoding),
            LINES,
            [(1, {"loss": 0.5}), (2, {"loss": 0.25})],
            end="running",
        )
        for encoding in ("utf-16", "utf-8-sig")
    ),
    Shape(
        "a log in UTF-16, most significant byte first",
        b"\xfe\xff" + "épreuve\nepoch 1 loss 0.5\nepoch 2 loss 0.25\n".encode("utf-16-be"),
        LINES,
        [(1, {"loss": 0.5}), (2, {"loss": 0.25})],
        end="running",
    ),
    Shape(
        "a CSV file in UTF-16",
        {"metrics.csv": "epoch;loss\r\n1;0,5\r\n2;0,25\r\n".encode("utf-16")},
        'from = "csv"',
        [(1, {"loss": 0.5}), (2, {"loss": 0.25})],
        end="running",
    ),
    Shape(
        "NULs of a log that was rotated",
        b"\0" * 3_000_000 + b"epoch 1 loss 0.5\n\0\0\0epoch 2 loss 0.25\n",
        LINES,
        [(1, {"loss": 0.5}), (2, {"loss": 0.25})],
        end="running",
    ),
    Shape(
        "NULs before a record",
        b'\0\0\0\0{"epoch": 1, "loss": 0.5}\n',
        JSON,
        [(1, {"loss": 0.5})],
        end="running",
    ),
    Shape(
        "what looks like a number but is none",
        "epoch 1 loss 0.5/1.0\nepoch 2 loss 0.2±0.1\n",
        LINES,
        [],
        end="running",
        hints=("its loss is no number: '0.5/1.0'",),
    ),
    Shape(
        "a criterion's metric that is no number at all",
        '{"epoch": 1, "loss": [0.1]}\n{"epoch": 2, "loss": null}\n',
        JSON,
        [],
        end="running",
        hints=("its loss is no number: 'list'",),
    ),
]

TABLE = """\
---------------------------------
| rollout/           |          |
|    ep_len_mean     | 21.5     |
|    ep_rew_mean     | {reward} |
| time/              |          |
|    fps             | 1000     |
|    total_timesteps | {steps}  |
---------------------------------
"""
SB3 = r"""from = "stdout"
pattern = 'ep_rew_mean +\| (?P<reward>\S+)|total_timesteps +\| (?P<total_timesteps>\d+)'
epoch_key = "total_timesteps"
"""
NANOGPT = r"""from = "stdout"
pattern = 'step (?P<iter>\d+): train loss (?P<train>\S+), val loss (?P<loss>\S+)'
epoch_key = "iter"
"""

EPOCHS = [
    Shape(
        "one number at the end",
        "compiling\nstep 1 of 9\n---\nval_bpb:          0.997900\ntraining_seconds: 300.1\n",
        "from = \"stdout\"\npattern = 'val_bpb: +(?P<val_bpb>\\S+)'",
        [(1, {"val_bpb": 0.9979})],
        criterion="val_bpb <= 1",
        max_epochs=1,
    ),
    Shape(
        "readings that name no epoch are counted",
        "val loss 0.9\nacc 0.1\nval loss 0.5\nacc 0.2\nval loss 0.2\nacc 0.3\n",
        "from = \"stdout\"\npattern = 'loss (?P<loss>\\S+)|acc (?P<acc>\\S+)'",
        [(2, {"loss": 0.5, "acc": 0.2})],
        criterion="loss + acc <= 0.5",
        check_every=2,
        end="running",
    ),
    Shape(
        "records that name no epoch are counted once that is clear",
        '{"loss": 0.9}\n{"loss": 0.5}\n{"loss": 0.2}\n',
        JSON,
        [(1, {"loss": 0.9}), (2, {"loss": 0.5}), (3, {"loss": 0.2})],
        end="running",
    ),
    Shape(
        "a record without epoch before those that have one",
        '{"loss": 0.1}\n{"epoch": 1, "loss": 0.9}\n{"epoch": 2, "loss": 0.5}\n',
        JSON,
        [(1, {"loss": 0.9}), (2, {"loss": 0.5})],
        end="running",
        hints=('set epoch_comes = "last"',),
    ),
    Shape(
        "a record without epoch after those that have one adds what was not said",
        '{"epoch": 1, "loss": 0.9, "step": 1}\n{"acc": 0.5}\n{"loss": 0.1, "best": 1}\n',
        JSON,
        [(1, {"loss": 0.9, "acc": 0.5, "best": 1})],
    ),
    Shape(
        "what a step said is not settled by what stands beside it",
        '{"epoch": 1, "loss": 0.1, "step": 1}\n{"epoch": 1, "acc": 0.5}\n{"epoch": 1, "loss": 0.8, "step": 9}\n{"epoch": 2}\n',
        JSON,
        [(1, {"loss": 0.8, "acc": 0.5})],
        criterion="loss / acc <= 0.3",
        end="crash",
    ),
    Shape(
        "other letters of the same key",
        {"metrics.csv": "Epoch,loss\n2,0.9\n4,0.2\n"},
        'from = "csv"',
        [(2, {"loss": 0.9}), (4, {"loss": 0.2})],
        end="running",
    ),
    Shape(
        "one record at the end",
        'training\n{"loss": 0.25}\n',
        JSON,
        [(1, {"loss": 0.25})],
        max_epochs=1,
    ),
    Shape(
        "a CSV file without a column for the epoch",
        {"metrics.csv": "loss,acc\n0.9,0.1\n0.2,0.9\n"},
        'from = "csv"',
        [(1, {"loss": 0.9, "acc": 0.1}), (2, {"loss": 0.2, "acc": 0.9})],
        end="running",
    ),
    Shape(
        "nanoGPT: steps from 0 with gaps get no hint to count epochs from 0",
        "step 0: train loss 4.2, val loss 4.3\niter 0: loss 4.2, time 1ms\nstep 250: train loss 2.0, val loss 2.1\nstep 500: train loss 0.2, val loss 0.25\n",
        NANOGPT,
        [(250, {"train": 2.0, "loss": 2.1}), (500, {"train": 0.2, "loss": 0.25})],
        check_every=250,
        max_epochs=1000,
        end="running",
    ),
    Shape(
        "nanoGPT: every check unplanned is told, with the mend",
        "step 0: train loss 4.2, val loss 4.3\nstep 250: train loss 2.0, val loss 2.1\nstep 500: train loss 0.2, val loss 0.25\n",
        NANOGPT + "first_epoch = 0",
        [],
        check_every=250,
        max_epochs=1000,
        end="running",
        hints=(
            "none of its iters 0, 250, 500 is a planned check; 249, 499, 749 would have been: leave out first_epoch = 0",
        ),
    ),
    Shape(
        "every check unplanned is told, with another check_every",
        "".join(f"epoch {n} loss 0.9\n" for n in (4, 8, 12)),
        LINES,
        [],
        check_every=5,
        max_epochs=50,
        end="running",
        hints=(
            "none of its epochs 4, 8, 12 is a planned check; 5, 10, 15 would have been: set check_every = 4",
        ),
    ),
    Shape(
        "stable-baselines: the number after its metrics, in silence before",
        TABLE.format(reward="21.5", steps="2048") + TABLE.format(reward="180", steps="4096"),
        SB3,
        [(2048, {"reward": 180.0})],
        criterion="reward >= 100",
        check_every=2048,
        max_epochs=8192,
        end="running",
        hints=(
            'reward: their epoch is not named before them: if it stands after its metrics, set epoch_comes = "last"',
        ),
    ),
    Shape(
        "stable-baselines: the number comes last",
        TABLE.format(reward="21.5", steps="2048") + TABLE.format(reward="180", steps="4096"),
        SB3 + 'epoch_comes = "last"',
        [(2048, {"reward": 21.5}), (4096, {"reward": 180.0})],
        criterion="reward >= 100",
        check_every=2048,
        max_epochs=8192,
        end="running",
    ),
    Shape(
        "a number that comes after a line of numbers",
        "copypaste: 31.5,0.2\niter: 9\ncopypaste: 11.5,0.2\niter: 99\n",
        'from = "stdout"\nepoch_key = "iter"\nepoch_comes = "last"\npattern = \'copypaste: (?P<loss>[\\d.]+)|iter: (?P<iter>\\d+)\'',
        [(99, {"loss": 11.5})],
        check_every=99,
        max_epochs=99,
        end="running",
    ),
    Shape(
        "records whose number comes last",
        '{"loss": 0.9}\n{"acc": 0.1}\n{"epoch": 1}\n{"loss": 0.2}\n{"acc": 0.8}\n{"epoch": 2}\n',
        JSON + '\nepoch_comes = "last"',
        [(1, {"loss": 0.9, "acc": 0.1}), (2, {"loss": 0.2, "acc": 0.8})],
        criterion="loss / acc <= 0.3",
        end="running",
    ),
    Shape(
        "xgboost",
        "[0]\ttrain-rmse:0.50\tval-rmse:0.60\n[1]\ttrain-rmse:0.30\tval-rmse:0.25\n[2]\ttrain-rmse:0.2\tval-rmse:0.2\n",
        "from = \"stdout\"\nfirst_epoch = 0\npattern = '\\[(?P<epoch>\\d+)\\].*val-rmse:(?P<loss>\\S+)'",
        [(2, {"loss": 0.25})],
        check_every=2,
        end="running",
    ),
    Shape(
        "lightgbm",
        "[LightGBM] [Info] Start training\n[10]\tvalid_0's l2: 0.24\n[20]\tvalid_0's l2: 0.2\n",
        "from = \"stdout\"\npattern = '''^\\[(?P<epoch>\\d+)\\]\\s.*l2: (?P<loss>\\S+)'''",
        [(10, {"loss": 0.24}), (20, {"loss": 0.2})],
        check_every=10,
        max_epochs=100,
        end="running",
    ),
    Shape(
        "every tenth iteration and the last",
        "".join(f"epoch {n} loss 0.{n}\n" for n in (0, 10, 20, 29)),
        LINES,
        [(10, {"loss": 0.1}), (20, {"loss": 0.2}), (30, {"loss": 0.29})],
        check_every=10,
        max_epochs=30,
        hints=("its last reading has the epoch 29 and counts as its last planned check, 30",),
    ),
    Shape(
        "every tenth iteration and the last, crash",
        "".join(f"epoch {n} loss 0.{n}\n" for n in (0, 10, 20, 29)),
        LINES,
        [(10, {"loss": 0.1}), (20, {"loss": 0.2})],
        check_every=10,
        max_epochs=30,
        end="crash",
    ),
    Shape(
        "an evaluation after the training, beyond the plan",
        "".join(f"epoch {n} train 0.5\n" for n in range(200)) + "epoch 200 loss 0.25\n",
        "from = \"stdout\"\npattern = 'epoch (?P<epoch>\\d+) (?:train (?P<train>\\S+)|loss (?P<loss>\\S+))'",
        [(199, {"loss": 0.25})],
        check_every=199,
        max_epochs=199,
        hints=(
            "its last reading has the epoch 200 and counts as its last planned check, 199",
            "first epoch is 200",
        ),
        quiet=False,
    ),
    Shape(
        "a last check that was judged is not judged again",
        "epoch 5 loss 0.9\n",
        LINES,
        [(5, {"loss": 0.9})],
        check_every=5,
        max_epochs=50,
    ),
]

EVENTS = [
    Shape(
        "tensorboard: a float32 is its shortest decimal",
        {"runs/events.out.tfevents.1": event_file([(1, {"acc": 0.95}), (2, {"acc": 0.949})])},
        'from = "tensorboard"',
        [(1, {"acc": 0.95}), (2, {"acc": 0.949})],
        criterion="acc >= 0.95",
        end="running",
    ),
    Shape(
        "tensorboard: two files that disagree",
        {
            "train/events.out.tfevents.1": event_file([(1, {"acc": 0.95})]),
            "validation/events.out.tfevents.1": event_file([(1, {"acc": 0.5})]),
        },
        'from = "tensorboard"',
        [(1, {"acc": 0.95})],
        criterion="acc >= 0.95",
        end="running",
        hints=(
            "two of its files say different things of acc at step 1 (0.95 and 0.5), and the first one counts: name one",
        ),
    ),
    Shape(
        "tensorboard: steps beyond the plan",
        {"runs/events.out.tfevents.1": event_file([(938, {"loss": 0.5}), (1876, {"loss": 0.25})])},
        'from = "tensorboard"',
        [],
        end="running",
        hints=(
            "its first step is 938, beyond max_epochs = 8, so that nothing of it is judged: set epoch_key",
        ),
    ),
    Shape(
        "tensorboard: steps beyond the plan but for the first, 0",
        {
            "runs/events.out.tfevents.1": event_file(
                [(0, {"loss": 0.9}), (938, {"loss": 0.5}), (1876, {"loss": 0.25})]
            )
        },
        'from = "tensorboard"',
        [],
        end="running",
        hints=("its first step is 938, beyond max_epochs = 8",),
    ),
    Shape(
        "tensorboard: a scalar tells the epoch (Lightning)",
        {
            "runs/events.out.tfevents.1": event_file(
                [(49, {"loss": 0.5}), (49, {"epoch": 0}), (99, {"epoch": 1})]
            )
        },
        'from = "tensorboard"',
        [],
        end="running",
        hints=('set epoch_key = "epoch"',),
        quiet=False,
    ),
]

SHAPES = [*REWRITTEN, *HALVES, *NUMBERS, *EPOCHS, *EVENTS]
