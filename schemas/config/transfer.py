"""Configuration of the experiment `transfer`: networks for other images, or of other architectures.

Prompt examples come from the zoo (the paper's Tables 13 and 14), or are a few networks of the
target, trained here for a few epochs (Tables 5 and 15 to 17, Figure 5).
"""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, model_validator

from schemas.config.images import ImagesConfig
from schemas.config.samplers import BANDWIDTH, Decoder
from schemas.config.training import TrainingConfig
from schemas.records import Record

TransferMethod = Literal[
    "scratch",
    "prompts",
    "prompts_selected",
    "reconstruction",
    "noise",
    "noise_trained",
    "interpolation",
    "kde30",
    "sub",
    "boot",
    "sharpened_sub",
    "sharpened_unlabelled_sub",
    "global_kde30",
]
"""Where the networks that are fine-tuned come from."""

SHARPENED: dict[TransferMethod, Decoder] = {
    "sharpened_sub": "sharpened",
    "sharpened_unlabelled_sub": "sharpened_unlabelled",
}
"""Method -> the sharpened decoder it draws from, as SUB does from SANE's own."""

TARGET_PROMPTS, TARGET_PROMPT_EPOCHS = 3, 2
"""Prompt examples that are trained on a target, and for how long, if nothing is said."""


class TransferTarget(Record):
    """What a zoo's SANE is to make networks for."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", description="what it is called in tables")
    zoos: tuple[str, ...] = Field(
        default=(), description="names of the zoos whose SANE is transferred; all if empty"
    )
    images: ImagesConfig = Field(description="what the networks see, select on and are tested on")
    architecture: str | None = Field(
        default=None,
        description="of the networks; the zoo's own, with the images' classes, if not given",
    )
    prompts: Literal["zoo", "target"] = Field(
        default="zoo",
        description="prompt examples: train runs of the zoo, or networks of this architecture "
        "trained here on these images",
    )
    prompt_members: int | None = Field(
        default=None,
        ge=1,
        description="prompt examples at most; all train runs of a zoo, 3 trained here, by default",
    )
    prompt_epochs: int | None = Field(
        default=None,
        ge=0,
        description="epochs that prompt examples were trained for: the last that SANE knows of a "
        "zoo, 2 where they are trained here, by default",
    )
    head: Literal["auto", "new"] = Field(
        default="auto",
        description="last layer of networks from zoo prompts: kept where it has as many classes, "
        "or always drawn anew",
    )
    frame: Literal["prompts", "zoo"] = Field(
        default="prompts",
        description="where prompts are trained here: statistics and alignment of these prompts, "
        "or the zoo's, which needs its architecture",
    )
    training: TrainingConfig | None = Field(
        default=None,
        description="how networks of the target are trained; as the zoo's if not given. Its number "
        "of epochs is not used",
    )
    epochs: tuple[int, ...] = Field(
        default=(1, 5, 25), min_length=1, description="epochs of fine-tuning that are reported"
    )
    lengths: tuple[int, ...] = Field(
        default=(),
        description="epochs of whole fine-tunings, each with a schedule over exactly these; one "
        "over the last of `epochs` if empty",
    )
    methods: tuple[TransferMethod, ...] = Field(
        default=("scratch", "prompts", "noise", "sub"),
        min_length=1,
        description="where networks that are fine-tuned come from",
    )
    sharpened_on: Literal["zoo", "target"] = Field(
        default="zoo",
        description="train images that decoders of sharpened methods are sharpened on: those of "
        "the zoo's own task, or the target's, whose labels the decoder is then taught",
    )
    candidates: int = Field(default=50, ge=1, description="samples drawn and scored")
    keep: int = Field(default=5, ge=1, description="networks of each method")
    bandwidth: float = Field(
        default=BANDWIDTH, gt=0, description="h, in std of the training latents"
    )
    bootstrap_rounds: int = Field(default=3, ge=1, description="rounds of BOOT")
    conditioning_batches: int = Field(
        default=20,
        ge=0,
        description="batches of train images that running statistics are measured on; "
        "0 = they stay new",
    )
    conditioning_batch: int = Field(default=128, ge=2, description="images of such a batch")
    conditioning_augmented: bool = Field(
        default=True,
        description="flip and crop these images as training does; the running statistics that "
        "trained networks keep are of such images",
    )

    @property
    def decoders(self) -> tuple[Decoder, ...]:
        """The sharpened decoders that its methods draw from."""
        return tuple(SHARPENED[method] for method in self.methods if method in SHARPENED)

    @property
    def whole_lengths(self) -> tuple[int, ...]:
        """Epochs of every whole fine-tuning, ascending."""
        return tuple(sorted({*self.lengths} or {max(self.epochs)}))

    def epochs_within(self, length: int) -> tuple[int, ...]:
        """Return the epochs that are reported of a fine-tuning of this length, 0 and its end too.

        Args:
            length: One of `whole_lengths`.
        """
        return tuple(sorted({0, *(e for e in self.epochs if e <= length), length}))

    @model_validator(mode="after")
    def _keep_no_more_than_drawn(self) -> "TransferTarget":
        if self.keep > self.candidates:
            raise ValueError(f"keep must be <= candidates ({self.candidates}), got {self.keep}")
        if min(*self.epochs, *self.whole_lengths) < 1:
            raise ValueError(
                f"epochs and lengths must be >= 1 (0 is always reported), got {self.epochs} and "
                f"{self.lengths}"
            )
        return self

    @model_validator(mode="after")
    def _ask_for_prompts_that_can_be_had(self) -> "TransferTarget":
        if self.prompts == "zoo" and self.frame == "zoo":
            raise ValueError(
                "frame is of prompts that are trained here: leave it out where prompts is zoo, "
                "which are in the zoo's frame already"
            )
        if self.prompts == "target" and self.head == "new":
            raise ValueError(
                "head must be auto where prompts is target: such prompts have the right head, got "
                "new"
            )
        if self.prompts == "target" and "global_kde30" in self.methods:
            raise ValueError(
                "prompts must be zoo for the method global_kde30, whose autoencoder knows whole "
                "networks of the zoo alone, got target"
            )
        if "noise_trained" in self.methods and (
            "sharpened_sub" not in self.methods or self.sharpened_on == "zoo"
        ):
            raise ValueError(
                "noise_trained is trained on the target for as much as sharpening took: add the "
                "method sharpened_sub, with sharpened_on: target"
            )
        if self.head == "new" and self.sharpened_on == "target":
            raise ValueError(
                "sharpened_on must be zoo where head is new: what a decoder makes has the zoo's "
                "head, which the target's labels are not for, got target"
            )
        if self.prompts == "target" and self.prompt_epochs == 0:
            raise ValueError("prompt_epochs must be >= 1 where prompts are trained here, got 0")
        return self


class TransferConfig(Record):
    """Targets, each of which is a stage of its own."""

    targets: tuple[TransferTarget, ...] = ()

    @model_validator(mode="after")
    def _name_targets_once(self) -> "TransferConfig":
        names = [target.name for target in self.targets]
        if len(set(names)) < len(names):
            raise ValueError(f"transfer targets must have names of their own, got {names}")
        return self


def may_meet_new_positions(benchmark: Mapping[str, object]) -> bool:
    """Return whether a benchmark transfers to another architecture, as its file says it."""
    transfer, experiments = benchmark.get("transfer"), benchmark.get("experiments")
    if isinstance(transfer, Record):
        transfer = transfer.model_dump(mode="json")
    if not isinstance(transfer, Mapping) or not isinstance(experiments, list | tuple):
        return False
    targets = transfer.get("targets")
    return "transfer" in experiments and any(
        isinstance(target, Mapping)
        and target.get("prompts") == "target"
        and bool(target.get("architecture"))
        for target in (targets if isinstance(targets, list | tuple) else ())
    )
