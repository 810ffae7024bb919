"""A trained SANE: embed networks and reconstruct them (paper Algorithm 2), save it, share it.

    from sane_core import Sane

    sane = Sane.load("mnist-cnn")
    sane.embed(["a.pt", module, state_dict]).vectors

Networks are modules, state dicts or checkpoint files. Always float32; always in evaluation mode.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from sane_core.analysis.search import Catalogue, Index, Matches
from sane_core.api.bundle import Bundle, bundle_folder, read, write
from sane_core.api.description import Description
from sane_core.api.given import Weights, take_all
from sane_core.api.groups import grouped, in_order, shared_positions, stacked
from sane_core.api.hub import download, upload
from sane_core.api.networks import Said
from sane_core.api.passes import Passes
from sane_core.api.prepare import restore
from sane_core.api.results import Embedding, NetworkLatents
from sane_core.architectures.architecture import Architecture
from sane_core.weights.symmetry.derive import Inputs
from schemas.config.augmented import Augmented
from schemas.config.embed import EmbedConfig
from schemas.config.preprocess import PreprocessConfig
from schemas.config.refine import RefineConfig
from schemas.config.sample import Bandwidth, Coupling, Method

if TYPE_CHECKING:
    from sane_core.api.sampled import Sampled
    from sane_core.api.task import Data

Level = Literal["model", "token"]


class Sane:
    """An autoencoder with all that takes weights to its tokens and back."""

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

    def embed(
        self,
        models: Weights | Sequence[Weights],
        *,
        pooling: str | None = None,
        level: Level = "model",
        architecture: str | Architecture | None = None,
        zoo: str | None = None,
        inputs: Inputs | None = None,
        align: bool = True,
    ) -> Embedding:
        """Embed networks.

        Args:
            models: A network or a list of them: modules, state dicts, checkpoint files.
            pooling: Of tokens into a model's embedding: `layers` (mean and deviation per layer,
                the default), `mean` (the paper's centre of gravity), `mean_std`, `quantiles` or
                `full` (all latents, of small networks); `global` where a SANE has one latent for
                a whole network.
            level: `model`, or `token` for the latents themselves.
            architecture: Of state dicts and files that this SANE was not trained on.
            zoo: Whose statistics and reference are taken, where networks fit several zoos.
            inputs: Examples that modules are traced on, where their shapes are not known.
            align: Whether units are brought into the reference's order.

        Raises:
            ValueError: If a network cannot be used, vectors of several architectures differ in
                length, or their latents stand at different positions.
        """
        poolings = self.passes.poolings
        pooling = pooling or poolings[0]
        if pooling not in poolings or level not in ("model", "token"):
            raise ValueError(
                f"pooling must be one of {', '.join(poolings)} and level model or token, got "
                f"{pooling!r} and {level!r}"
            )
        given, alone = take_all(models)
        said = Said(architecture, zoo, inputs)
        groups = grouped(given, self.bundle, said, align, self.device)
        prepared = [group.prepared for group in groups]
        of_models = level == "model"
        values = self.passes.embed(prepared, pooling) if of_models else self.passes.encode(prepared)
        of_tokens = level == "token" and not self.passes.one_latent
        vectors = stacked(in_order(groups, values), [group.network.name for group in groups])
        return Embedding(
            vectors=vectors[0] if alone else vectors,
            networks=tuple(in_order(groups, [group.readings for group in groups])),
            positions=shared_positions(groups) if of_tokens else None,
        )

    def latents(
        self,
        models: Weights | Sequence[Weights],
        *,
        architecture: str | Architecture | None = None,
        zoo: str | None = None,
        inputs: Inputs | None = None,
        align: bool = True,
    ) -> list[NetworkLatents]:
        """Encode networks of any lengths to the latents of their tokens.

        Arguments are those of `embed`.

        Returns:
            Those of each network, in the order given; a list also for a network on its own.

        Raises:
            ValueError: If a network cannot be used, or there is one latent for a whole network.
        """
        if self.passes.one_latent:
            raise ValueError(
                "latents of tokens are those of a SANE with one per token, and this one has one "
                "for a whole network (bottleneck: model); embed networks instead"
            )
        given, _ = take_all(models)
        said = Said(architecture, zoo, inputs)
        groups = grouped(given, self.bundle, said, align, self.device)
        values = self.passes.encode([group.prepared for group in groups])
        found = [
            [
                NetworkLatents(read, own, group.prepared.positions)
                for read, own in zip(group.readings, latents, strict=True)
            ]
            for group, latents in zip(groups, values, strict=True)
        ]
        return in_order(groups, found)

    def nearest(
        self,
        models: Weights | Sequence[Weights],
        zoo: Catalogue | str | Path,
        *,
        k: int = 5,
        pooling: str | None = None,
        per_run: bool = False,
        architecture: str | Architecture | None = None,
        like: str | None = None,
        inputs: Inputs | None = None,
        align: bool = True,
    ) -> Any:
        """Find the networks of a zoo that are most like given ones.

        Args:
            models: A network or a list of them, as `embed` takes.
            zoo: The zoo's embeddings by this SANE: a catalogue, or the path of their table.
            k: How many.
            pooling: Which of its embeddings; `layers` unless it has none, or too wide ones.
            per_run: Whether only the nearest network of each run counts.
            architecture: As `embed` takes it.
            like: Name of the zoo whose statistics and reference are taken: `zoo` of `embed`.
            inputs: As `embed` takes them.
            align: As `embed` takes it.

        Returns:
            `Matches`, or a list of them for a list.

        Raises:
            ValueError: As `embed`; if the zoo's embeddings are of another width, so of another
                model, or the zoo has no k networks.
        """
        catalogue = zoo if isinstance(zoo, Catalogue) else Catalogue.read(Path(zoo))
        pooling = pooling or catalogue.pooling(self.passes.poolings)
        found = self.embed(
            models, pooling=pooling, architecture=architecture, zoo=like, inputs=inputs, align=align
        ).vectors
        index = Index(catalogue, pooling)
        matches: list[Matches] = index.search(np.atleast_2d(found), k, per_run)
        return matches if found.ndim > 1 else matches[0]

    def sample(
        self,
        architecture: str | Architecture | None = None,
        prompts: Weights | Sequence[Weights] = (),
        n: int = 10,
        data: "Data | None" = None,
        *,
        candidates: int = 200,
        method: Method = "sub",
        coupling: Coupling = "shared_noise",
        bandwidth: Bandwidth | None = None,
        rounds: int = 3,
        refine: RefineConfig | None = None,
        seed: int = 0,
        conditioning_batches: int = 20,
        conditioning_batch: int = 128,
        conditioning_augmented: bool = True,
        data_folder: str | Path = "data",
        zoo: str | None = None,
        inputs: Inputs | None = None,
        align: bool = True,
        baselines: bool = False,
    ) -> "Sampled":
        """Sample networks around prompts, or from nothing (Algorithm 3).

        Args:
            architecture: Of the networks; that of the prompts, or of the SANE's only zoo, if not
                given.
            prompts: Networks to draw around, as `embed` takes them, of one architecture.
            n: Networks to keep.
            data: What they are to do: an `ImagesConfig`, images to select on, or parts `train`
                and `validation` by name. Without data n networks are drawn and nothing is
                selected; batch norms then have their prompt's running statistics.
            candidates: Networks drawn, in each round.
            method: `sub`, `boot`, `kde30`, or `gauss`, which needs no prompts.
            coupling: What the tokens of a sample share: `shared_noise`, `model`, `token`.
            bandwidth: h, in standard deviations of the training latents; `scott`, or `validation`.
                0.05 if not given, 0.3 of a sharpened decoder.
            rounds: Of boot and gauss.
            refine: Gradient steps on what each round draws, on train images of the data; its target
                `labels` reads their labels, and provenance says so.
            seed: Of every draw.
            conditioning_batches: Batches that running statistics are measured on.
            conditioning_batch: Images of such a batch.
            conditioning_augmented: Whether these images are flipped and cropped as in the networks'
                training, where that is known of their zoo or by a recipe on the dataset.
            data_folder: Where the files of an `ImagesConfig` lie.
            zoo: Whose statistics and reference are taken, where networks fit several zoos.
            inputs: Examples that modules are traced on, where their shapes are not known.
            align: Whether prompts are brought into the reference's order.
            baselines: Whether prompts and noisy prompts are selected the same way as well.

        Raises:
            ValueError: If something does not fit together; see docs/sampling.md.
            UserError: If files of the data are missing or damaged.
        """
        # Brings training along.
        from sane_core.api.sample import default_bandwidth, sample_config, sample_networks
        from sane_core.api.task import task_of

        config = sample_config(
            n=n,
            candidates=candidates,
            method=method,
            coupling=coupling,
            bandwidth=default_bandwidth(self.description, method)
            if bandwidth is None
            else bandwidth,
            rounds=rounds,
            refine=refine,
            seed=seed,
            conditioning_batches=conditioning_batches,
            conditioning_batch=conditioning_batch,
            conditioning_augmented=conditioning_augmented,
        )
        none = isinstance(prompts, list | tuple) and not prompts
        given = [] if none else take_all(prompts)[0]
        task = None if data is None else task_of(data, Path(data_folder), self.description.seed)
        return sample_networks(
            self.bundle,
            given,
            Said(architecture, zoo, inputs),
            task,
            config,
            align=align,
            baselines=baselines,
            device=self.device,
        )

    def with_latents(
        self, models: Weights | Sequence[Weights], *, zoo: str | None = None, align: bool = True
    ) -> Self:
        """Return the same SANE, knowing the moments of a zoo's latents from networks of it.

        Bandwidths count in their deviation, and GAUSS draws from them.

        Args:
            models: Networks of one of its zoos, best those that it was trained on.
            zoo: Which zoo, where they fit several.
            align: Whether units are brought into the reference's order.

        Raises:
            ValueError: If a network cannot be used, or they are not all of one zoo.
        """
        found = self.latents(models, zoo=zoo, align=align)
        names = {each.network.zoo for each in found}
        if len(names) > 1 or None in names:
            got = ", ".join(sorted(str(name) for name in names))
            raise ValueError(f"networks must be of one zoo of this SANE, got of {got}")
        from sane_core.api.moments import measure, with_moments

        moments = measure([each.values for each in found])
        described = with_moments(self.description, {str(found[0].network.zoo): moments})
        return type(self)(replace(self.bundle, description=described), self.device)

    def reconstruct(
        self,
        models: Weights | Sequence[Weights],
        *,
        architecture: str | Architecture | None = None,
        zoo: str | None = None,
        inputs: Inputs | None = None,
        align: bool = True,
    ) -> Any:
        """Encode and decode networks.

        Arguments and errors are those of `embed`.

        Returns:
            The same kind as given: a copy of a module with the reconstructed weights, or a state
            dict; a list for a list. Units stand where they stood; entries that are no tokens
            (batch norms, counters) are the original's. A file gives a state dict of tensors.
        """
        given, alone = take_all(models)
        said = Said(architecture, zoo, inputs)
        groups = grouped(given, self.bundle, said, align, self.device)
        results = []
        tokens = self.passes.reconstruct([group.prepared for group in groups])
        for group, own in zip(groups, tokens, strict=True):
            weights = restore(own, group.prepared)
            results.append(
                [
                    given[at].put_back({name: values[i] for name, values in weights.items()})
                    for i, at in enumerate(group.members)
                ]
            )
        found = in_order(groups, results)
        return found[0] if alone else found


def _several(paths: Path | Sequence[Path]) -> list[Path]:
    return [paths] if isinstance(paths, Path) else list(paths)
