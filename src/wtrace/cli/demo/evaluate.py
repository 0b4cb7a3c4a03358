"""Judge a saved model on the test points, which no training has seen, and report to the race."""

import argparse
import json
import os

import data
import model
import numpy as np


def main():
    """Read the options, evaluate, append one record to the file that WTRACE_METRICS names."""
    options = argparse.ArgumentParser()
    options.add_argument("--checkpoint", required=True)
    weights = dict(np.load(options.parse_args().checkpoint))
    loss, accuracy = model.score(weights, *data.points("test"))
    print(f"test_loss {loss:.4f}  test_accuracy {accuracy:.4f}", flush=True)
    record = {"event": "check", "epoch": 1, "metrics": {"val_loss": loss, "val_accuracy": accuracy}}
    with open(os.environ["WTRACE_METRICS"], "a", encoding="utf-8") as metrics:
        metrics.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
