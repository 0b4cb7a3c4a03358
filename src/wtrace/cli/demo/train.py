"""Train, save each epoch, and print a line about it. Nothing here knows of wtrace."""

import argparse
from pathlib import Path

import data
import model
import numpy as np

RATE, BATCH = 0.007, 8


def main():
    """Read the options and train."""
    options = argparse.ArgumentParser()
    options.add_argument("--epochs", type=int, default=60)
    options.add_argument("--output", type=Path, default=Path("output"))
    given = options.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)

    random = np.random.default_rng(0)
    points, arm = data.points("train")
    weights = model.begin(random)
    for epoch in range(1, given.epochs + 1):
        for batch in random.permutation(len(arm)).reshape(-1, BATCH):
            step(weights, model.gradients(weights, points[batch], arm[batch]))
        np.savez(given.output / f"epoch_{epoch}.npz", **weights)
        loss, accuracy = model.score(weights, *data.points("validation"))
        print(f"epoch {epoch}/{given.epochs}  val_loss {loss:.4f}  val_accuracy {accuracy:.4f}", flush=True)


def step(weights, gradients):
    """Go one step downhill."""
    for name, gradient in gradients.items():
        weights[name] = weights[name] - RATE * gradient


if __name__ == "__main__":
    main()
