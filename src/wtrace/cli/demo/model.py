"""A network with one hidden layer that tells the two arms apart."""

import numpy as np

HIDDEN = 24


def features(points):
    """What the network sees of each point."""
    return points


def begin(random):
    """The weights before training."""
    inputs = features(np.zeros((1, 2))).shape[1]
    return {
        "hidden": random.normal(0, 1 / np.sqrt(inputs), (inputs, HIDDEN)),
        "hidden_bias": np.zeros(HIDDEN),
        "out": random.normal(0, 1 / np.sqrt(HIDDEN), HIDDEN),
        "out_bias": np.zeros(()),
    }


def predict(weights, points):
    """How likely it is, for each point, that it lies on arm 1."""
    return _forward(weights, features(points))[1]


def gradients(weights, points, arm):
    """The gradient of the mean cross-entropy, by weight."""
    seen = features(points)
    hidden, likely = _forward(weights, seen)
    error = (likely - arm) / len(arm)
    back = np.outer(error, weights["out"]) * (1 - hidden**2)
    return {
        "hidden": seen.T @ back,
        "hidden_bias": back.sum(axis=0),
        "out": hidden.T @ error,
        "out_bias": error.sum(),
    }


def score(weights, points, arm):
    """The mean cross-entropy, and the share of points that are told right."""
    likely = np.clip(predict(weights, points), 1e-7, 1 - 1e-7)
    loss = -np.mean(np.log(np.where(arm == 1, likely, 1 - likely)))
    return float(loss), float(np.mean((likely > 0.5) == arm))


def _forward(weights, seen):
    hidden = np.tanh(seen @ weights["hidden"] + weights["hidden_bias"])
    return hidden, 1 / (1 + np.exp(-(hidden @ weights["out"] + weights["out_bias"])))
