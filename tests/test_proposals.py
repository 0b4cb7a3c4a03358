"""What trainings really print, and the `[metrics]` that are proposed for it: a new form is a new row."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wtrace.cli.commands.try_sources import Input, Setting, answer
from wtrace.cli.terminal.trial_view import proposed_lines
from wtrace.config import load
from wtrace.config.spec import MetricsSpec
from wtrace.metrics.proposals.near import nearest
from wtrace.metrics.proposals.propose import propose
from wtrace.race import crash

Epochs = dict[int, dict[str, float]]

# What it prints; what is proposed beside the pattern; what is then read.
PRINTED: dict[str, tuple[str, dict[str, object], Epochs]] = {
    "nanoGPT": (
        (
            "number of parameters: 10.65M\n"
            "step 0: train loss 4.2874, val loss 4.2823\n"
            "iter 0: loss 4.2654, time 28341.12ms, mfu -100.00%\n"
            "iter 10: loss 3.24, time 23.12ms, mfu 10.00%\n"
            "step 250: train loss 1.9658, val loss 2.0702\n"
            "saving checkpoint to out\n"
            "iter 250: loss 2.0, time 1.12ms, mfu 9.00%\n"
        ),
        {"epoch_key": "step"},
        {0: {"train_loss": 4.2874, "val_loss": 4.2823}, 250: {"train_loss": 1.9658, "val_loss": 2.0702}},
    ),
    "Keras, one line an epoch": (
        (
            "Epoch 1/2\n"
            "\r1/100 - accuracy: 0.9375\x08\x08\x08\r100/100 - 2s - accuracy: 0.7340 - loss: 0.9\n"
            "Epoch 2/2\n"
            "100/100 - 2s - accuracy: 0.8 - loss: 0.7\n"
        ),
        {},
        {1: {"accuracy": 0.734, "loss": 0.9}, 2: {"accuracy": 0.8, "loss": 0.7}},
    ),
    "Keras, its bar and a validation": (
        (
            "Epoch 1/3\n"
            "\x1b[1m100/100\x1b[0m ━━━━━━━━━━━━━━━━━━━━ 2s 12ms/step - accuracy: 0.7340 - loss: 0.9 - val_accuracy: 0.8 - val_loss: 0.5\n"
            "Epoch 2/3\n"
            "100/100 ━━━━━━━━━━━━━━━━━━━━ 2s 12ms/step - accuracy: 0.7440 - loss: 0.8 - val_accuracy: 0.9 - val_loss: 0.4\n"
        ),
        {},
        {
            1: {"accuracy": 0.734, "loss": 0.9, "val_accuracy": 0.8, "val_loss": 0.5},
            2: {"accuracy": 0.744, "loss": 0.8, "val_accuracy": 0.9, "val_loss": 0.4},
        },
    ),
    "tqdm": (
        (
            "\rEpoch 1/8: 0%| 0/30 [00:00<?, loss=0.050, acc=0.1]\rEpoch 1/8: 100%|##########| 30/30 [00:01<00:00, 25.1it/s, loss=0.300, acc=0.9]\n"
            "Epoch 2/8: 100%|##########| 30/30 [00:01<00:00, 25.1it/s, loss=0.200, acc=0.95]\n"
        ),
        {},
        {1: {"loss": 0.3, "acc": 0.9}, 2: {"loss": 0.2, "acc": 0.95}},
    ),
    "tqdm without an epoch": (
        (
            "100%|##########| 30/30 [00:01<00:00, 25.1it/s, loss=0.3]\n"
            "100%|##########| 30/30 [00:01<00:00, 25.1it/s, loss=0.2]\n"
        ),
        {},
        {1: {"loss": 0.3}, 2: {"loss": 0.2}},
    ),
    "Lightning's bar": (
        (
            "Epoch 0: 100%|██████████| 938/938 [00:10<00:00, 88.52it/s, v_num=0, train_loss=0.25, val_loss=0.11, val_acc=0.97]\n"
            "Epoch 1: 100%|██████████| 938/938 [00:10<00:00, 88.52it/s, v_num=0, train_loss=0.15, val_loss=0.09, val_acc=0.98]\n"
        ),
        {"first_epoch": 0},
        {
            1: {"train_loss": 0.25, "val_loss": 0.11, "val_acc": 0.97},
            2: {"train_loss": 0.15, "val_loss": 0.09, "val_acc": 0.98},
        },
    ),
    "xgboost": (
        (
            "[0]\ttrain-rmse:0.5\teval-rmse:0.6\n"
            "[1]\ttrain-rmse:0.4\teval-rmse:0.5\n"
            "[2]\ttrain-rmse:0.4\teval-rmse:0.4\n"
        ),
        {"epoch_key": "round", "first_epoch": 0},
        {
            1: {"train_rmse": 0.5, "eval_rmse": 0.6},
            2: {"train_rmse": 0.4, "eval_rmse": 0.5},
            3: {"train_rmse": 0.4, "eval_rmse": 0.4},
        },
    ),
    "LightGBM": (
        (
            "[LightGBM] [Info] Total Bins 1234\n"
            "Training until validation scores don't improve for 10 rounds\n"
            "[10]\ttraining's binary_logloss: 0.68\tvalid_1's binary_logloss: 0.69\n"
            "[20]\ttraining's binary_logloss: 0.58\tvalid_1's binary_logloss: 0.6\n"
        ),
        {"epoch_key": "round"},
        {
            10: {"training_binary_logloss": 0.68, "valid_1_binary_logloss": 0.69},
            20: {"training_binary_logloss": 0.58, "valid_1_binary_logloss": 0.6},
        },
    ),
    "a Trainer's dicts": (
        (
            "{'loss': 0.5, 'grad_norm': 1.2, 'learning_rate': 4e-05, 'epoch': 0.5}\n"
            "{'eval_loss': 0.3, 'eval_accuracy': 0.93, 'eval_runtime': 1.2, 'eval_samples_per_second': 100.0, 'epoch': 1.0}\n"
            "{'eval_loss': 0.2, 'eval_accuracy': 0.95, 'eval_runtime': 1.2, 'eval_samples_per_second': 100.0, 'epoch': 2.0}\n"
        ),
        {},
        {1: {"eval_loss": 0.3, "eval_accuracy": 0.93}, 2: {"eval_loss": 0.2, "eval_accuracy": 0.95}},
    ),
    "a newer Trainer's dicts": (
        (
            "{'loss': '0.5', 'grad_norm': '1.2', 'learning_rate': '4e-05', 'epoch': '0.5'}\n"
            "{'eval_loss': '0.3', 'eval_accuracy': '0.93', 'eval_runtime': '1.2', 'epoch': '1'}\n"
        ),
        {},
        {1: {"eval_loss": 0.3, "eval_accuracy": 0.93}},
    ),
    "key=value": (
        ("epoch=1 train_loss=0.5 val_loss=0.4 lr=0.001\nepoch=2 train_loss=0.4 val_loss=0.3 lr=0.001\n"),
        {},
        {1: {"train_loss": 0.5, "val_loss": 0.4}, 2: {"train_loss": 0.4, "val_loss": 0.3}},
    ),
    "key: value": (
        (
            "Epoch: 1 | Train Loss: 0.512 | Val Acc: 93.1% | Time: 12.3s\n"
            "Epoch: 2 | Train Loss: 0.412 | Val Acc: 94.1% | Time: 12.3s\n"
        ),
        {},
        {1: {"train_loss": 0.512, "val_acc": 93.1}, 2: {"train_loss": 0.412, "val_acc": 94.1}},
    ),
    "lines of JSON": (
        (
            '{"epoch": 1, "train_loss": 0.5, "val_loss": 0.4}\n'
            '{"epoch": 2, "train_loss": 0.5, "val_loss": 0.3}\n'
        ),
        {},
        {1: {"train_loss": 0.5, "val_loss": 0.4}, 2: {"train_loss": 0.5, "val_loss": 0.3}},
    ),
    "nested JSON behind a logger's prefix": (
        ('2026-11-01 10:00:00 | INFO | valid | {"step": 100, "eval": {"acc": 0.9, "loss": 0.1}}\n'),
        {"epoch_key": "step"},
        {100: {"eval.acc": 0.9, "eval.loss": 0.1}},
    ),
    "PyTorch's MNIST example": (
        (
            "Train Epoch: 1 [0/60000 (0%)]\tLoss: 2.305\n"
            "Train Epoch: 1 [640/60000 (1%)]\tLoss: 2.205\n"
            "\n"
            "Test set: Average loss: 0.0500, Accuracy: 9830/10000 (98%)\n"
            "\n"
            "Train Epoch: 2 [0/60000 (0%)]\tLoss: 0.305\n"
            "Train Epoch: 2 [640/60000 (1%)]\tLoss: 0.205\n"
            "\n"
            "Test set: Average loss: 0.0300, Accuracy: 9890/10000 (99%)\n"
        ),
        {},
        {1: {"average_loss": 0.05, "accuracy": 98.0}, 2: {"average_loss": 0.03, "accuracy": 99.0}},
    ),
    "Stable-Baselines3's table": (
        (
            "----------------------------------\n"
            "| rollout/            |          |\n"
            "|    ep_len_mean      | 21.5     |\n"
            "|    ep_rew_mean      | 21.5     |\n"
            "| time/               |          |\n"
            "|    fps              | 1000     |\n"
            "|    iterations       | 1        |\n"
            "|    total_timesteps  | 2048     |\n"
            "----------------------------------\n"
            "| rollout/            |          |\n"
            "|    ep_len_mean      | 31.5     |\n"
            "|    ep_rew_mean      | 31.5     |\n"
            "| time/               |          |\n"
            "|    fps              | 1000     |\n"
            "|    iterations       | 2        |\n"
            "|    total_timesteps  | 4096     |\n"
            "----------------------------------\n"
        ),
        {"epoch_key": "total_timesteps", "epoch_comes": "last"},
        {2048: {"ep_rew_mean": 21.5}, 4096: {"ep_rew_mean": 31.5}},
    ),
    "Stable-Baselines3, PPO: what is learned stands below the number, in tables of other widths": (
        (
            "---------------------------------\n"
            "| rollout/           |          |\n"
            "|    ep_len_mean     | 20.2     |\n"
            "|    ep_rew_mean     | 20.2     |\n"
            "| time/              |          |\n"
            "|    fps             | 3692     |\n"
            "|    iterations      | 1        |\n"
            "|    time_elapsed    | 0        |\n"
            "|    total_timesteps | 256      |\n"
            "---------------------------------\n"
            "------------------------------------------\n"
            "| rollout/                |              |\n"
            "|    ep_len_mean          | 23.2         |\n"
            "|    ep_rew_mean          | 23.2         |\n"
            "| time/                   |              |\n"
            "|    fps                  | 1806         |\n"
            "|    iterations           | 2            |\n"
            "|    time_elapsed         | 0            |\n"
            "|    total_timesteps      | 512          |\n"
            "| train/                  |              |\n"
            "|    approx_kl            | 0.0018180492 |\n"
            "|    clip_fraction        | 0            |\n"
            "|    clip_range           | 0.2          |\n"
            "|    entropy_loss         | -0.693       |\n"
            "|    explained_variance   | -0.0681      |\n"
            "|    learning_rate        | 0.0003       |\n"
            "|    loss                 | 33.8         |\n"
            "|    n_updates            | 10           |\n"
            "|    policy_gradient_loss | -0.00209     |\n"
            "|    value_loss           | 70.8         |\n"
            "------------------------------------------\n"
            "------------------------------------------\n"
            "| rollout/                |              |\n"
            "|    ep_len_mean          | 26.3         |\n"
            "|    ep_rew_mean          | 26.3         |\n"
            "| time/                   |              |\n"
            "|    fps                  | 1639         |\n"
            "|    iterations           | 3            |\n"
            "|    time_elapsed         | 0            |\n"
            "|    total_timesteps      | 768          |\n"
            "| train/                  |              |\n"
            "|    approx_kl            | 0.0059241448 |\n"
            "|    clip_fraction        | 0.0199       |\n"
            "|    clip_range           | 0.2          |\n"
            "|    entropy_loss         | -0.687       |\n"
            "|    explained_variance   | -0.122       |\n"
            "|    learning_rate        | 0.0003       |\n"
            "|    loss                 | 52.7         |\n"
            "|    n_updates            | 20           |\n"
            "|    policy_gradient_loss | -0.0132      |\n"
            "|    value_loss           | 103          |\n"
            "------------------------------------------\n"
        ),
        {"epoch_key": "total_timesteps", "epoch_comes": "last"},
        {256: {"ep_rew_mean": 20.2}, 512: {"ep_rew_mean": 23.2}, 768: {"ep_rew_mean": 26.3}},
    ),
    "tqdm, a line for each step": (
        (
            "Epoch 1/8:   3%|3| 1/30 [00:01<00:00, 25.1it/s, loss=0.300]\n"
            "Epoch 1/8: 100%|##########| 30/30 [00:01<00:00, 25.1it/s, loss=0.2]\n"
        ),
        {},
        {1: {"loss": 0.2}},
    ),
    "a loop of its own": (
        (
            "[1/50] step 20 loss 0.2513\n"
            "=> epoch 1/50  val_loss=0.1590  acc=96.0%\n"
            "[2/50] step 20 loss 0.2513\n"
            "=> epoch 2/50  val_loss=0.1490  acc=97.0%\n"
        ),
        {},
        {1: {"val_loss": 0.159, "acc": 96.0}, 2: {"val_loss": 0.149, "acc": 97.0}},
    ),
    "fairseq": (
        (
            "2026-11-01 10:00:00 | INFO | train | epoch 001 | loss 9.8 | nll_loss 9.1 | ppl 550.1 | wps 1000 | lr 0.001\n"
            "2026-11-01 10:00:00 | INFO | valid | epoch 001 | valid on 'valid' subset | loss 8.8 | nll_loss 8.1 | ppl 350.1 | wps 1000\n"
            "2026-11-01 10:00:00 | INFO | valid | epoch 002 | valid on 'valid' subset | loss 8.1 | nll_loss 8.1 | ppl 350.1 | wps 1000\n"
        ),
        {},
        {1: {"loss": 8.8, "nll_loss": 8.1, "ppl": 350.1}, 2: {"loss": 8.1, "nll_loss": 8.1, "ppl": 350.1}},
    ),
    "epoch and step in brackets": (
        (
            "Epoch [1/5], Step [100/600], Loss: 0.1234\n"
            "Epoch [1/5], Step [200/600], Loss: 0.1034\n"
            "Epoch [2/5], Step [100/600], Loss: 0.0934\n"
        ),
        {},
        {1: {"loss": 0.1034}, 2: {"loss": 0.0934}},
    ),
    "one metric a line": (
        ("Epoch 1\ntrain_loss: 0.5\nval_loss: 0.4\nEpoch 2\ntrain_loss: 0.4\nval_loss: 0.3\n"),
        {},
        {1: {"train_loss": 0.5, "val_loss": 0.4}, 2: {"train_loss": 0.4, "val_loss": 0.3}},
    ),
    "the number after its metrics": (
        ("copypaste: 31.5, repeat: 12.0\niter: 99\ncopypaste: 41.5, repeat: 13.0\niter: 199\n"),
        {"epoch_key": "iter", "epoch_comes": "last"},
        {99: {"copypaste": 31.5, "repeat": 12.0}, 199: {"copypaste": 41.5, "repeat": 13.0}},
    ),
    "OpenMMLab": (
        (
            "2026/11/01 10:00:00 - mmengine - INFO - Epoch(train)  [1][100/938]  lr: 1.0e-02  eta: 0:01:02  time: 0.0123  data_time: 0.0010  memory: 100  loss: 0.3\n"
            "2026/11/01 10:00:00 - mmengine - INFO - Epoch(val) [1][10/10]    accuracy/top1: 93.0000  data_time: 0.0012  time: 0.0112\n"
            "2026/11/01 10:00:00 - mmengine - INFO - Epoch(val) [2][10/10]    accuracy/top1: 94.0000  data_time: 0.0012  time: 0.0112\n"
        ),
        {},
        {1: {"accuracy_top1": 93.0}, 2: {"accuracy_top1": 94.0}},
    ),
    "tensors as they are printed": (
        (
            "epoch 1 loss tensor(0.1234, device='cuda:0') acc np.float64(0.93)\n"
            "epoch 2 loss tensor(0.1134, device='cuda:0') acc np.float64(0.94)\n"
        ),
        {},
        {1: {"loss": 0.1234, "acc": 0.93}, 2: {"loss": 0.1134, "acc": 0.94}},
    ),
    "loguru": (
        (
            "2026-11-01 10:00:00.123 | INFO     | __main__:main:10 - epoch 1 train_loss 0.5 val_loss 0.4\n"
            "2026-11-01 10:00:00.123 | INFO     | __main__:main:10 - epoch 2 train_loss 0.5 val_loss 0.3\n"
        ),
        {},
        {1: {"train_loss": 0.5, "val_loss": 0.4}, 2: {"train_loss": 0.5, "val_loss": 0.3}},
    ),
    "a sentence": (
        (
            "Epoch 3 finished with validation loss of 0.4 and accuracy 0.93\n"
            "Epoch 4 finished with validation loss of 0.3 and accuracy 0.95\n"
        ),
        {},
        {3: {"validation_loss": 0.4, "accuracy": 0.93}, 4: {"validation_loss": 0.3, "accuracy": 0.95}},
    ),
    "a dict of dicts": (
        (
            "{'epoch': 1, 'train': {'loss': 0.5}, 'val': {'loss': 0.4}}\n"
            "{'epoch': 2, 'train': {'loss': 0.4}, 'val': {'loss': 0.3}}\n"
        ),
        {},
        {1: {"train_loss": 0.5, "val_loss": 0.4}, 2: {"train_loss": 0.4, "val_loss": 0.3}},
    ),
    "one number at the end": (
        (
            "step 1 loss 8.9\n"
            "step 2 loss 8.8\n"
            "step 3 loss 8.7\n"
            "step 4 loss 8.6\n"
            "step 5 loss 8.5\n"
            "val_bpb: 0.9979\n"
        ),
        {},
        {1: {"val_bpb": 0.9979}},
    ),
    "CatBoost": (
        "0:\tlearn: 0.6\ttest: 0.61\tbest: 0.61 (0)\ttotal: 1ms\n1:\tlearn: 0.5\ttest: 0.51\tbest: 0.51 (1)\ttotal: 2ms\n",
        {"epoch_key": "round", "first_epoch": 0},
        {1: {"learn": 0.6, "test": 0.61}, 2: {"learn": 0.5, "test": 0.51}},
    ),
    "a GAN, its losses in brackets": (
        (
            "[Epoch 0/2] [Batch 0/9] [D loss: 0.693] [G loss: 0.690]\n[Epoch 0/2] [Batch 1/9] [D loss: 0.593] [G loss: 0.790]\n"
            "[Epoch 1/2] [Batch 0/9] [D loss: 0.493] [G loss: 0.890]\n"
        ),
        {"first_epoch": 0},
        {1: {"d_loss": 0.593, "g_loss": 0.79}, 2: {"d_loss": 0.493, "g_loss": 0.89}},
    ),
    "PyTorch Geometric's examples": (
        "Epoch: 001, Loss: 0.6931, Val: 0.7012, Test: 0.6950\nEpoch: 002, Loss: 0.5931, Val: 0.7212, Test: 0.7050\n",
        {},
        {
            1: {"loss": 0.6931, "val": 0.7012, "test": 0.695},
            2: {"loss": 0.5931, "val": 0.7212, "test": 0.705},
        },
    ),
    "PyTorch's transfer learning tutorial": (
        (
            "Epoch 0/24\n----------\ntrain Loss: 0.5 Acc: 0.75\nval Loss: 0.3 Acc: 0.88\n\n"
            "Epoch 1/24\n----------\ntrain Loss: 0.4 Acc: 0.80\nval Loss: 0.2 Acc: 0.90\n\nTraining complete in 1m 2s\n"
        ),
        {"first_epoch": 0},
        {1: {"val_loss": 0.3, "acc": 0.88}, 2: {"val_loss": 0.2, "acc": 0.9}},
    ),
    "llm.c, a step on one line and the validation on another": (
        "".join(
            f"step {n:4d}/1000 | loss {11 - n / 100:.4f} (+nanz)| lr 1.00e-04\n"
            + f"val loss {11 - n / 50:.2f}\n" * (n % 5 == 0)
            for n in range(11)
        ),
        {"epoch_key": "step"},
        {0: {"val_loss": 11.0}, 5: {"val_loss": 10.9}, 10: {"val_loss": 10.8}},
    ),
    "modded-nanogpt": (
        (
            "step:0/250 val_loss:5.0 train_time:0ms step_avg:98.1ms\nstep:1/250 train_time:50ms step_avg:98ms\n"
            "step:125/250 val_loss:4.875 train_time:9ms step_avg:98.1ms\n"
        ),
        {"epoch_key": "step"},
        {0: {"val_loss": 5.0}, 125: {"val_loss": 4.875}},
    ),
    "Ignite": (
        (
            "Training Results - Epoch: 1  Avg accuracy: 0.95 Avg loss: 0.15\nValidation Results - Epoch: 1  Avg accuracy: 0.93 Avg"
            " loss: 0.20\nTraining Results - Epoch: 2  Avg accuracy: 0.97 Avg loss: 0.12\n"
        ),
        {},
        {1: {"avg_accuracy": 0.93, "avg_loss": 0.2}},
    ),
}
CONFIG = '[race]\nname = "r"\n[success]\na = "a > 1"\n[workers.w]\nbranch = "b"\ncommand = ["true"]\n'


@pytest.mark.parametrize(("text", "table", "epochs"), PRINTED.values(), ids=list(PRINTED))
def test_what_is_proposed_reads_what_is_printed(
    text: str, table: dict[str, object], epochs: Epochs, tmp_path: Path
) -> None:
    log = tmp_path / "train.log"
    log.write_bytes(text.encode())
    found = answer(Setting(), Input("train.log", log), tmp_path)
    assert found.proposal is not None
    assert found.epochs == epochs
    given = found.proposal.table(None)
    assert {name: given[name] for name in given if name not in {"from", "pattern"}} == table
    spec = load.parse(CONFIG + "\n".join(proposed_lines(found.proposal, None)), source="wtrace.toml")
    assert spec.metrics == found.metrics


def test_a_trainer_that_has_printed_whole_epochs_may_print_a_fraction(tmp_path: Path) -> None:
    """As Transformers 5.24 prints, below two bars; read as 1, what was evaluated at 1.5 would be judged."""
    log = tmp_path / "train.log"
    printed = "\n  0%|          | 0/8 [00:00<?, ?it/s]\x1b[A\n" + " " * 30 + "\n\r" + " " * 30 + "\r\x1b[A"
    log.write_text(
        "".join(
            f"{printed}{{'eval_loss': '0.{9 - n}', 'eval_mae': '0.5', 'eval_runtime': '0.0025', 'epoch': '{n}'}}\n"
            f"\r{n}0%|████████▎ | {n}0/99 [00:00<00:00, 246.62it/s]"
            for n in (1, 2)
        )
    )
    found = answer(Setting(), Input("train.log", log), tmp_path)
    assert found.epochs == {n: {"eval_loss": (9 - n) / 10, "eval_mae": 0.5} for n in (1, 2)}
    assert found.proposal is not None
    pattern = re.compile(found.proposal.pattern or "")
    reads = pattern.search("{'eval_loss': '0.1', 'eval_mae': '0.5', 'eval_runtime': '1', 'epoch': '1.5'}")
    assert reads is not None
    assert reads["epoch"] == "1.5"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "epochs: 50\nlr: 0.001\nbatch size: 32\nhello world\n",
        "\0\0\0\n",
        "{\n",
        "step 1\nstep 2\n",
        "                   all        128        929      0.64      0.537\n",
        "()[]|\\*\n" * 50,
    ],
)
def test_where_nothing_looks_like_metrics_nothing_is_proposed(text: str, tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_text(text)
    found = answer(Setting(), Input("train.log", log), tmp_path)
    assert found.proposal is None
    assert found.emptiness == "nothing in it looks like metrics"


def test_a_pattern_tells_the_validation_from_the_training(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_text(
        "".join(f"epoch {n} train loss {9 - n}.0\nepoch {n} val loss {10 - n}.0\n" for n in (1, 2, 3))
    )
    assert answer(Setting(), Input("train.log", log), tmp_path).epochs == {
        n: {"val_loss": 10.0 - n} for n in (1, 2, 3)
    }


@pytest.mark.parametrize(
    ("pattern", "lines", "told"),
    [
        (
            r"epoch (?P<epoch>\d+) +val_loss=(?P<val_loss>\S+)",
            ["loading", "epoch 3 val_loss: 0.3", "epoch 4"],
            "nearest: 'epoch 3 val_loss: 0.3', up to 'epoch 3 val_loss'",
        ),
        (
            r"epoch (?P<epoch>\d+) val_loss=(?P<val_loss>\S+)",
            ["Epoch 3 val_loss=0.3"],
            "nearest: 'Epoch 3 val_loss=0.3', but for its capital letters",
        ),
        (
            r"Epoch (?P<epoch>\d+)/|- loss: (?P<loss>\S+) - val_loss: (?P<val_loss>\S+)",
            ["2/2 - 0s - loss: 2.29 - accuracy: 0.3"],
            "nearest: '2/2 - 0s - loss: 2.29 - accuracy: 0.3', up to '- loss: 2.29 -'",
        ),
        (r"epoch (?P<epoch>\d+) (?P<loss>\S+)", ["nothing alike", ""], None),
    ],
)
def test_the_line_that_comes_nearest(pattern: str, lines: list[str], told: str | None) -> None:
    near = nearest(pattern, lines)
    assert (None if near is None else near.told) == told


def test_a_pattern_with_quotes_is_written_so_that_it_is_read(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_text("{'eval_loss': 0.3, 'epoch': 1.0}\n")
    found = answer(Setting(), Input("train.log", log), tmp_path)
    assert found.proposal is not None
    lines = proposed_lines(found.proposal, None)
    assert lines[2].startswith("pattern = '''")
    spec = load.parse(CONFIG + "\n".join(lines), source="wtrace.toml").metrics
    assert isinstance(spec, MetricsSpec)
    assert spec.pattern is not None
    assert re.search(spec.pattern, "{'eval_loss': 0.3, 'epoch': 1.0}")


PIECES = st.lists(
    st.sampled_from(
        ["epoch", "Epoch 3/20", "step", "loss", "val_loss", "=", ": ", " ", "0.5", "1e-3", "nan", "[1/9]", "{", "}", "'", '"', "|", "\n", "\r", "\t", "\\", "(", ")", "?P<", "%", "…", "\x1b[31m", 'File "a", line 3', "  ", "Error:", "é", "²", "loss 0.5\n", "*val ", "0", ",", "*"]
    ),
    max_size=60,
).map("".join)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.one_of(PIECES, st.text(max_size=200)))
def test_whatever_is_printed_what_is_proposed_is_a_config(text: str) -> None:
    lines = text.split("\n")
    proposal = propose(lines)
    crash.missing_paths(crash.reason(text) or "")
    if proposal is None:
        return
    spec = load.parse(CONFIG + "\n".join(proposed_lines(proposal, None)), source="wtrace.toml").metrics
    assert (spec.pattern, spec.epoch_key or "epoch") == (proposal.pattern, proposal.epoch_key or "epoch")
    if proposal.pattern is not None:
        assert any(re.search(proposal.pattern, line) for line in lines)
        nearest(proposal.pattern, lines)
