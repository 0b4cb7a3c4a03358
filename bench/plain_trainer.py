"""The plainest correct trainer of the same networks: what one writes first. fp32, nothing cached, nothing shared.

Every clip is made when it is asked for, as a torch data set does it, by the process that trains (or, for comparison,
all are held in its memory). The ResNet-18 sees every crop again in every epoch. Attention, losses, optimizer and batch are those of workers/.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from persistence import backbone, losses, scene
from persistence.data import Clips
from persistence.model import ModelConfig, Output, PersistenceTransformer


class PlainClips(TorchDataset[scene.Clip]):
    """The training clips, each made when it is asked for, or all of them held in memory."""

    def __init__(self, n: int, *, in_memory: bool) -> None:
        self.n = n
        self.kept = [scene.make_clip(0, index) for index in range(n)] if in_memory else None

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> scene.Clip:
        return scene.make_clip(0, index) if self.kept is None else self.kept[index]


def collate(clips: list[scene.Clip]) -> Clips:
    """Clips as one batch of tensors."""

    def stack(name: str) -> Tensor:
        return torch.stack([torch.from_numpy(getattr(clip, name)) for clip in clips])

    return Clips(
        id=torch.zeros(len(clips), dtype=torch.int64),
        looks=stack("crops"),
        frame=stack("frame"),
        position=stack("position"),
        object=stack("object"),
        persistent=stack("persistent"),
        duration=stack("duration"),
    )


class PlainResNet(nn.Module):
    """A frozen ResNet-18 in front of the transformer: every crop goes through it in every step."""

    def __init__(self, side_px: int) -> None:
        super().__init__()
        self.side_px = side_px
        self.resnet = backbone.import_torchvision_models().resnet18(weights=None)
        self.resnet.fc = nn.Identity()
        self.resnet.eval().requires_grad_(requires_grad=False)
        self.transformer = PersistenceTransformer(ModelConfig(frozen_features=backbone.N_FEATURES))

    def forward(self, clips: Clips) -> Output:
        """Features of all B*N crops, padding included, then the transformer."""
        b, n = clips.frame.shape
        with torch.no_grad():
            features = self.resnet(backbone.enlarge(clips.looks.flatten(0, 1), self.side_px))
        values = {name: getattr(clips, name) for name in Clips.__dataclass_fields__}
        output: Output = self.transformer(Clips(**values | {"looks": features.view(b, n, -1)}))
        return output


def plain_loss(approach: str, output: Output, clips: Clips) -> Tensor:
    """The approach's loss."""
    loss = losses.classification(output.logit, clips)
    if approach == "attention-supervised":
        loss = loss + 0.2 * losses.attention_gap(output.attention[-1], clips, cap=0.24)
    if approach == "contrastive":
        loss = loss + 0.1 * losses.contrastive(output.embedding, clips, margin=0.5)
    if approach == "multi-task":
        loss = loss + 0.3 * losses.duration(output.duration, clips)
    return loss


class PlainTrainer:
    """Trains one approach, a number of clips at a time."""

    def __init__(self, approach: str, n_clips: int, side_px: int, *, in_memory: bool) -> None:
        torch.manual_seed(0)
        self.approach = approach
        pretrained = approach == "pretrained-features"
        self.model = PlainResNet(side_px) if pretrained else PersistenceTransformer(ModelConfig())
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(trained, lr=5e-4, weight_decay=1e-2)
        self.clips = PlainClips(n_clips, in_memory=in_memory)
        self.trained = trained

    def epoch(self) -> None:
        """One pass over the clips."""
        self.model.train()
        if isinstance(self.model, PlainResNet):
            self.model.resnet.eval()
        for clips in DataLoader(self.clips, batch_size=16, shuffle=True, collate_fn=collate):
            loss = plain_loss(self.approach, self.model(clips), clips)
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(self.trained, 1.0)
            self.optimizer.step()
