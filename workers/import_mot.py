"""Turn videos with tracked objects, in MOTChallenge form, into clips that the trainings read with --data.

A sequence is a folder with img1/000001.jpg … and gt/gt.txt. In each clip of 8 frames an object is persistent where it is
seen in a large share of the frames, transient where in a small one. Each sequence is split in time: its first frames are
for training, then come validation and test, and no frame is in two of them.
"""

from __future__ import annotations

import argparse
import shutil
from dataclasses import asdict
from pathlib import Path

from persistence import data, mot, options, scene
from persistence.errors import TrainingError
from persistence.reporting import say


def main() -> None:
    """Import from the command line."""
    args = parser().parse_args()
    settings = settings_of(args)
    if args.output.exists():
        raise TrainingError(f"--output {args.output} is there already; choose another, or remove it")
    videos = [mot.read_video(folder, settings) for folder in args.sequence]
    clips = {split: clips_of_split(split, videos, args.held_out, settings) for split in data.SPLITS}
    for split, made in clips.items():
        if not made:
            raise TrainingError(
                f"no clip for {split}: it takes {settings.span} frames with an object of each kind; "
                "try a longer video, a larger --held-out, a smaller --stride, or other thresholds"
            )
    write(args.output, clips, {"sequences": [str(folder) for folder in args.sequence], **asdict(settings)})
    say(f"wrote {args.output}; train on it with --data {args.output}")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    default = mot.Settings()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter, allow_abbrev=False
    )
    add = parser.add_argument
    add("sequence", type=Path, nargs="+", help="a folder with img1/ and gt/gt.txt")
    add("--output", type=Path, metavar="FOLDER", required=True, help="where the clips go; must not exist yet")
    add("--persistent-share", type=share, metavar="X", default=default.persistent_share,
        help="an object is persistent if it is seen in at least this share of the clip's frames")  # fmt: skip
    add("--transient-share", type=share, metavar="X", default=default.transient_share,
        help="and transient if in at most this share; objects between the two are left out")  # fmt: skip
    add("--frame-step", type=options.positive, metavar="N", default=default.frame_step,
        help="take every Nth frame: 8 frames in a row of a fast video show little change")  # fmt: skip
    add("--stride", type=options.positive, metavar="N", default=None,
        help="frames from the start of one clip to that of the next; None: clips share no frame")  # fmt: skip
    add("--held-out", type=share, metavar="X", default=0.1,
        help="share of each sequence for validation, and as much for test")  # fmt: skip
    add("--class", type=int, metavar="N", dest="classes", action="append", default=[],
        help="only objects of this class (the 8th field of gt.txt); may be given again")  # fmt: skip
    add("--min-visibility", type=share, metavar="X", default=default.min_visibility,
        help="only detections that are at least so visible (the 9th field)")  # fmt: skip
    add("--seed", type=int, metavar="N", default=default.seed, help="of the order of tokens, and of what is left "
        f"out where a clip has more than {mot.MOST_OF_A_KIND} detections of a kind")  # fmt: skip
    return parser


def share(text: str) -> float:
    """A number from 0 to 1."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to 1")
    return value


def settings_of(args: argparse.Namespace) -> mot.Settings:
    """The settings that were asked for. Raises TrainingError where they contradict one another."""
    if args.transient_share >= args.persistent_share:
        raise TrainingError("--transient-share must be below --persistent-share, else an object is both")
    if args.held_out >= 0.5:
        raise TrainingError("--held-out leaves nothing to train on; it must be below 0.5")
    return mot.Settings(
        persistent_share=args.persistent_share,
        transient_share=args.transient_share,
        frame_step=args.frame_step,
        stride=args.stride,
        classes=tuple(args.classes),
        min_visibility=args.min_visibility,
        seed=args.seed,
    )


def clips_of_split(
    split: str, videos: list[mot.Video], held_out: float, settings: mot.Settings
) -> list[scene.Clip]:
    """The clips of one split of all videos, and a line on what became of its windows."""
    clips: list[scene.Clip] = []
    left_out = 0
    for video in videos:
        made, lacking = mot.clips_of(
            video, frames_of(split, list(video.images), held_out), settings, len(clips)
        )
        clips += made
        left_out += lacking
    say(f"{split}: {len(clips)} clips; {left_out} more lack a persistent or a transient object")
    return clips


def frames_of(split: str, frames: list[int], held_out: float) -> list[int]:
    """The split's part of a video: the last frames for test, those before for validation, the rest for training."""
    n = round(len(frames) * held_out)
    first_held_out, first_test = len(frames) - 2 * n, len(frames) - n
    parts = {
        "train": frames[:first_held_out],
        "validation": frames[first_held_out:first_test],
        "test": frames[first_test:],
    }
    return parts[split]


def write(folder: Path, clips: dict[str, list[scene.Clip]], what: dict[str, object]) -> None:
    """All splits, in the form of the synthetic data; seen under the final name only when whole."""
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        first_ids, first = {}, 0
        for split, made in clips.items():
            data.write_split(partial, split, made)
            first_ids[split], first = first, first + len(made)
        sizes = {split: len(made) for split, made in clips.items()}
        data.write_meta(partial, {"sizes": sizes, "first_ids": first_ids, **what})
        partial.rename(folder)
    except OSError as error:
        raise TrainingError(f"cannot write {folder}: {error.strerror or error}") from error


if __name__ == "__main__":
    options.run_script(main)
