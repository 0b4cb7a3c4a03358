"""Trains a small torch model, prints `epoch N val_loss X`, and then calls `torch.save` over one file: torch_saver.py LR."""

import os
import pathlib
import sys

import torch

torch.set_num_threads(1)
torch.manual_seed(0)
inputs = torch.randn(1024, 64)
targets = inputs[:, :1]
model = torch.nn.Sequential(torch.nn.Linear(64, 2048), torch.nn.ReLU(), torch.nn.Linear(2048, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=float(sys.argv[1]))
for epoch in range(1, 400):
    for _ in range(20):
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(model(inputs), targets)
        loss.backward()
        optimizer.step()
    print(f"epoch {epoch} val_loss {loss.item():.4f}", flush=True)
    state = {"epoch": epoch, "model": model.state_dict(), "optimizer": optimizer.state_dict()}
    state["filler"] = torch.full((2_000_000,), float(epoch))  # 8 MB, as the checkpoint of a small model has
    torch.save(state, pathlib.Path(os.environ["WTRACE_OUTPUT"], "model.pt"))
