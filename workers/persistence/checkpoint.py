"""Trained states on disk: written whole or not at all, read without running code from the file."""

from __future__ import annotations

import contextlib
import os
import pickle
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from persistence.errors import TrainingError, first_line
from persistence.model import ModelConfig, PersistenceTransformer


def save(path: Path, content: dict[str, Any]) -> None:
    """Write tensors, numbers, texts, and dicts and lists of them. Whoever reads sees the old file or the new one.

    Raises TrainingError where the file cannot be written.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except (OSError, RuntimeError) as error:  # torch tells a full disk as a RuntimeError
        with contextlib.suppress(OSError):
            partial.unlink()
        raise TrainingError(f"cannot write {path}: {first_line(error)}") from error


def load(path: Path, device: torch.device) -> dict[str, Any]:
    """What `save` wrote. Raises TrainingError for a file that is missing or something else."""
    try:
        content = torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError as error:
        raise TrainingError(f"there is no {path}") from error
    except (OSError, EOFError, RuntimeError, ValueError, LookupError, pickle.UnpicklingError) as error:
        raise TrainingError(f"{path} cannot be read as a checkpoint: {first_line(error)}") from error
    if not isinstance(content, dict):
        raise TrainingError(f"{path} is no checkpoint: it holds a {type(content).__name__}")
    return content


def model_state(model: PersistenceTransformer) -> dict[str, Any]:
    """What it takes to build the same network again."""
    return {"config": asdict(model.config), "weights": model.state_dict()}


def build_model(state: dict[str, Any]) -> PersistenceTransformer:
    """The network of a checkpoint's `model`. Raises TrainingError where it is none."""
    try:
        model = PersistenceTransformer(ModelConfig(**state["config"]))
        model.load_state_dict(state["weights"])
    except (KeyError, TypeError, RuntimeError) as error:
        raise TrainingError(f"the checkpoint's network cannot be rebuilt: {first_line(error)}") from error
    return model


def rng_state(device: torch.device) -> dict[str, torch.Tensor]:
    """Where the random numbers of dropout stand."""
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    if device.type == "mps":
        state["mps"] = torch.mps.get_rng_state()
    return state


def restore_rng(state: dict[str, torch.Tensor], device: torch.device) -> None:
    """Go on from there. Generator states live on the CPU, wherever the checkpoint was loaded to."""
    torch.set_rng_state(state["cpu"].cpu())
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"].cpu(), device)
    if device.type == "mps" and "mps" in state:
        torch.mps.set_rng_state(state["mps"].cpu())
