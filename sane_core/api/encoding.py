"""What a trained SANE says of networks that are given to it (paper Algorithm 2)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from sane_core.analysis.search import Catalogue, Index, Matches
from sane_core.api.given import Weights, take_all
from sane_core.api.groups import grouped, in_order, shared_positions, stacked
from sane_core.api.networks import Said
from sane_core.api.prepare import restore
from sane_core.api.results import Embedding, NetworkLatents
from sane_core.api.stored import Stored
from sane_core.architectures.architecture import Architecture
from sane_core.weights.symmetry.derive import Inputs

Level = Literal["model", "token"]


class Encoding(Stored):
    """A SANE as an encoder: embed, find, reconstruct."""

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
