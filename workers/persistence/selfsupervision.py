"""A ResNet-18 that has seen no labels: it has learned to know an object again (SimCLR; Chen et al. 2020).

Two views of one object come together, and all other objects of the step apart. A view is one detection, made a little
brighter or darker and noisier; the two views are detections in two frames where the object is seen more than once.
The clips are of ids that no split contains, and their labels are not looked at.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from persistence import backbone, cache, checkpoint, data, scene
from persistence.errors import TrainingError
from persistence.reporting import say, with_progress
from persistence.stopping import Stopped, stopped_between_steps

FORMAT = 1  # raise it when the same recipe gives other weights
SELF_SUPERVISED = "self-supervised"
_BRIGHTER = 1.25  # at most; darker by as much
_SAY_EVERY = 20  # steps


@dataclass(frozen=True)
class Recipe:
    """All that the weights depend on."""

    clips: int  # to take objects from; about 9 in each
    steps: int
    pairs: int  # objects per step, two views of each
    side_px: int  # the crops are enlarged to this; their features are best read at the same size
    lr: float = 1e-3
    warmup_steps: int = 10
    temperature: float = 0.2
    seed: int = 0

    @property
    def description(self) -> str:
        """For start records: what these weights are."""
        return (
            f"{SELF_SUPERVISED} (ResNet-18, SimCLR on the crops of {self.clips} clips outside all splits, "
            f"{self.steps} steps of {self.pairs} objects, {self.side_px} px, seed {self.seed})"
        )


QUICK = Recipe(clips=400, steps=60, pairs=128, side_px=16)
FULL = Recipe(clips=2000, steps=300, pairs=128, side_px=32)


@dataclass(frozen=True)
class Objects:
    """The detections of O objects, those of one object in a row."""

    crops: Tensor  # [M, 16, 16, 3] uint8
    first: Tensor  # [O] int64, where each object's detections begin
    count: Tensor  # [O] int64, how many it has


def weights_file(cache_folder: Path, recipe: Recipe, device: torch.device) -> Path:
    """The file with the weights of this recipe, a state dict of resnet18; trained first where nobody has yet.

    Of several processes that ask at once one trains, and the others wait. Raises Stopped at a signal: whoever asks next
    goes on from there. Raises TrainingError where the cache cannot be written or torchvision is missing.
    """
    key = hashlib.sha256(json.dumps([FORMAT, asdict(recipe)]).encode()).hexdigest()[:16]
    folder = cache_folder / f"resnet18-{SELF_SUPERVISED}-{key}"
    halfway = folder.with_name(f"{folder.name}.halfway.pt")
    cache.made_once(
        folder, lambda path: _make(path, recipe, device, halfway), lambda path: (path / "meta.json").exists()
    )
    halfway.unlink(missing_ok=True)
    return folder / "weights.pt"


def _make(folder: Path, recipe: Recipe, device: torch.device, halfway: Path) -> None:
    """Train, and write the weights and what they are."""
    say(f"training {recipe.description}; this is done once")
    resnet = train(recipe, gather_objects(recipe), device, halfway)
    checkpoint.save(
        folder / "weights.pt", {name: tensor.cpu() for name, tensor in resnet.state_dict().items()}
    )
    (folder / "meta.json").write_text(
        json.dumps({"format": FORMAT, "weights": recipe.description, **asdict(recipe)}) + "\n"
    )


@dataclass
class Learner:
    """A training between two of its steps."""

    resnet: nn.Module
    head: nn.Module
    optimizer: torch.optim.AdamW
    rng: torch.Generator  # of pairs and views
    step: int = 0  # steps done

    def save(self, path: Path) -> None:
        """Write all that it takes to go on from here, bit by bit alike."""
        content = {"step": self.step, "rng": self.rng.get_state()}
        for name in ("resnet", "head", "optimizer"):
            content[name] = getattr(self, name).state_dict()
        checkpoint.save(path, content)

    def go_on_from(self, path: Path, device: torch.device) -> None:
        """Take up what `save` wrote."""
        content = checkpoint.load(path, device)
        for name in ("resnet", "head", "optimizer"):
            getattr(self, name).load_state_dict(content[name])
        self.rng.set_state(content["rng"].cpu())
        self.step = content["step"]


def train(recipe: Recipe, objects: Objects, device: torch.device, halfway: Path | None = None) -> nn.Module:
    """The network, trained from random weights, or from where a signal stopped it: `halfway` is kept then, and Stopped
    raised. The global random numbers are left as they were."""
    learner = _new_learner(recipe, device)
    if halfway is not None and halfway.exists():
        _take_up(learner, halfway, device)
    with stopped_between_steps() as stop:
        try:
            steps = with_progress(
                range(learner.step, recipe.steps), "preparing its backbone: step", learner.step
            )
            for _ in stop.watch(steps):
                _learn(learner, recipe, objects, device)
            if stop.received is not None:  # it came in the last step
                raise Stopped
        except Stopped:
            if halfway is not None:
                learner.save(halfway)
                say(
                    f"self-supervision: told to stop at step {learner.step}/{recipe.steps}; kept for the next"
                )
            raise
    return learner.resnet


def _new_learner(recipe: Recipe, device: torch.device) -> Learner:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        resnet: nn.Module = backbone.import_torchvision_models().resnet18(weights=None)
        resnet.fc = nn.Identity()
        head = nn.Sequential(nn.Linear(backbone.N_FEATURES, 256), nn.ReLU(), nn.Linear(256, 128))
    resnet, head = resnet.to(device), head.to(device)
    optimizer = torch.optim.AdamW(
        [*resnet.parameters(), *head.parameters()], recipe.lr, weight_decay=1e-4, fused=True
    )
    return Learner(resnet, head, optimizer, torch.Generator().manual_seed(recipe.seed))


def _take_up(learner: Learner, halfway: Path, device: torch.device) -> None:
    """Go on where somebody was stopped; from the beginning where that cannot be read."""
    try:
        learner.go_on_from(halfway, device)
        say(f"self-supervision: going on from step {learner.step}")
    except TrainingError as error:
        say(f"self-supervision: from the beginning: {error}")


def _learn(learner: Learner, recipe: Recipe, objects: Objects, device: torch.device) -> None:
    """One step. In fp32: where a map is 1x1, most of a bf16 kernel's gradient is noise that differs from run to run."""
    for group in learner.optimizer.param_groups:
        group["lr"] = recipe.lr * _lr_factor(learner.step, recipe)
    first, second = draw_pairs(objects, recipe.pairs, learner.rng)
    views = torch.cat(
        [view(objects.crops[first], learner.rng), view(objects.crops[second], learner.rng)]
    )  # [2P, 16, 16, 3]
    z = learner.head(learner.resnet(backbone.enlarge(views.to(device), recipe.side_px)))  # [2P, 128]
    loss = nt_xent(z, recipe.temperature)
    learner.optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    learner.optimizer.step()
    learner.step += 1
    if learner.step % _SAY_EVERY == 0:
        say(f"self-supervision: step {learner.step}/{recipe.steps}  loss {float(loss.detach()):.3f}")


def nt_xent(z: Tensor, temperature: float) -> Tensor:
    """The normalized, temperature-scaled cross-entropy of P pairs: z [2P, D], rows i and i + P belong together.

    loss = mean over rows i of -log(exp(s_ij / t) / sum over k != i of exp(s_ik / t)), j the other view of i's object,
    s the cosine. Source: Chen, Kornblith, Norouzi, Hinton 2020, eq. 1.
    """
    unit = F.normalize(z.float(), dim=1)
    score = unit @ unit.T / temperature  # [2P, 2P]
    score = score.masked_fill(torch.eye(len(z), dtype=torch.bool, device=z.device), -torch.inf)
    partner = torch.arange(len(z), device=z.device).roll(len(z) // 2)
    return F.cross_entropy(score, partner)


def gather_objects(recipe: Recipe) -> Objects:
    """All objects of the recipe's clips, of either kind: which kind is not looked at."""
    crops, counts = [], []
    for clip_id in range(data.FIRST_UNUSED_ID, data.FIRST_UNUSED_ID + recipe.clips):
        clip = scene.make_clip(recipe.seed, clip_id)
        for number in range(clip.object.max() + 1):
            crops.append(clip.crops[clip.object == number])
            counts.append(len(crops[-1]))
    count = torch.tensor(counts)
    return Objects(torch.from_numpy(np.concatenate(crops)), count.cumsum(0) - count, count)


def draw_pairs(objects: Objects, pairs: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Two detections of each of P different objects, as rows of `crops`: [P], [P]. Two frames where there are two."""
    chosen = torch.randperm(len(objects.count), generator=rng)[:pairs]
    first, count = objects.first[chosen], objects.count[chosen]
    a = (torch.rand(len(chosen), generator=rng) * count).long()
    further = 1 + (torch.rand(len(chosen), generator=rng) * (count - 1)).long()  # 1 .. count - 1
    return first + a, first + (a + further) % count


def view(crops: Tensor, rng: torch.Generator) -> Tensor:
    """The crops [M, 16, 16, 3] with another brightness each, and more noise; float, 0..255."""
    spread = torch.rand(len(crops), 1, 1, 1, generator=rng) * 2 - 1
    noise = torch.randn(crops.shape, generator=rng) * scene.NOISE_SIGMA
    return (crops.float() * _BRIGHTER**spread + noise).clamp(0, 255)


def _lr_factor(step: int, recipe: Recipe) -> float:
    """A short warm-up, then half a cosine down to 0."""
    return min(1.0, (step + 1) / recipe.warmup_steps) * 0.5 * (1 + float(np.cos(np.pi * step / recipe.steps)))
