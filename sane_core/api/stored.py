"""A trained SANE as something that is had: put together, loaded, saved, shared.

`load(save(sane)) == sane`, bit for bit.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from sane_core.api.bundle import Bundle, bundle_folder, read, write
from sane_core.api.description import Description
from sane_core.api.hub import download, upload
from sane_core.api.passes import Passes
from schemas.config.augmented import Augmented
from schemas.config.embed import EmbedConfig
from schemas.config.preprocess import PreprocessConfig


class Stored:
    """An autoencoder with all that takes weights to its tokens and back.

    What is done with it is in the classes that stand on this one.
    """

    def __init__(self, bundle: Bundle, device: str = "cpu") -> None:
        """Take a bundle.

        Args:
            bundle: Description, autoencoder, references.
            device: Where the autoencoder runs, and networks that are sampled: `cpu`, `cuda`,
                `cuda:1`.

        Raises:
            ValueError: If the device is not there.
        """
        self.bundle = bundle
        self.device = device
        described = bundle.description
        self.passes = Passes(bundle.model, described.embed, device, described.seed)

    @property
    def description(self) -> Description:
        """What it is: zoos, layers, token size, licence, metrics."""
        return self.bundle.description

    @classmethod
    def load(cls, name_or_folder: str | Path, device: str = "cpu") -> Self:
        """Load a SANE that ships with the package, by its name, or one from a folder.

        Raises:
            ValueError: If there is none, naming those that ship; if it is damaged.
        """
        return cls(read(bundle_folder(name_or_folder)), device)

    @classmethod
    def from_artifacts(
        cls,
        tokens: Path | Sequence[Path],
        model: Path,
        *,
        name: str,
        zoos: Path | Sequence[Path] | None = None,
        preprocess: PreprocessConfig = PreprocessConfig(),  # noqa: B008 (frozen)
        embed: EmbedConfig = EmbedConfig(),  # noqa: B008 (frozen)
        seed: int = 0,
        licence: str = "apache-2.0",
        metrics: Mapping[str, float] | None = None,
        embeddings: Sequence[Path] = (),
        augmented: Sequence[Augmented | None] = (),
        device: str = "cpu",
    ) -> Self:
        """Put one together from what the stages `tokens` and `model` wrote.

        Args:
            tokens: Folder of the stage `tokens`, or one per zoo.
            model: Folder of the stage `model`, or of `sharpen`.
            name: What it is called.
            zoos: Folder of the stage `zoo` for each, for the reference models as they were
                trained; without them references are put together from their tokens, and alignment
                then looks at no entry that is not cut into tokens (batch norms).
            preprocess: As the zoos were made into tokens.
            embed: Chunk and halo, and the views that embeddings are averaged over.
            seed: Of the run: of the alignment and the views.
            licence: SPDX identifier of the weights' licence.
            metrics: Measured on held-out runs.
            embeddings: `embeddings.parquet` of the zoos by this model, one each, for the moments
                of their latents; without them GAUSS cannot be drawn (`with_latents` adds them).
            augmented: How the train images of each zoo's networks were moved, None where that is
                not known; running statistics of samples are then measured on such images.
            device: Where the autoencoder runs.

        Raises:
            ValueError: If tokens, model and zoos do not fit together.
        """
        from sane_core.api.artifacts import bundle_of_artifacts  # brings the training along

        bundle = bundle_of_artifacts(
            _several(tokens),
            model,
            None if zoos is None else _several(zoos),
            name=name,
            preprocess=preprocess,
            embed=embed,
            seed=seed,
            licence=licence,
            metrics=metrics or {},
            embeddings=embeddings,
            augmented=augmented,
        )
        return cls(bundle, device)

    @classmethod
    def from_hub(cls, repo_id: str, revision: str | None = None, device: str = "cpu") -> Self:
        """Load one from the Hugging Face Hub; needs the extra `hub`.

        Args:
            repo_id: `owner/name`.
            revision: Branch, tag or commit; the default branch if not given.
            device: Where the autoencoder runs.

        Raises:
            UserError: If huggingface_hub is missing, or the repository cannot be had.
            ValueError: If it holds no SANE, or a damaged one.
        """
        return cls(read(bundle_folder(download(repo_id, revision))), device)

    def push_to_hub(self, repo_id: str, token: str | None = None, private: bool = False) -> str:
        """Upload it with a model card, into a repository that is made if need be.

        Args:
            repo_id: `owner/name`.
            token: Of the account; that of the login if not given.
            private: Whether a new repository is private.

        Returns:
            Address of the commit.

        Raises:
            UserError: If huggingface_hub is missing, or the repository cannot be written.
        """
        return upload(self.bundle, repo_id, token, private)

    def save(self, folder: str | Path) -> None:
        """Write it to a folder that is empty or not there yet; `load` reads it.

        Raises:
            ValueError: If the folder holds anything.
        """
        write(Path(folder), self.bundle)


def _several(paths: Path | Sequence[Path]) -> list[Path]:
    return [paths] if isinstance(paths, Path) else list(paths)
