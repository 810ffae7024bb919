"""A trained SANE: embed networks and reconstruct them (paper Algorithm 2), save it, share it.

    from sane_core import Sane

    sane = Sane.load("mnist-cnn")
    sane.embed(["a.pt", module, state_dict]).vectors

Networks are modules, state dicts or checkpoint files. Always float32; always in evaluation mode.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from sane_core.api.encoding import Encoding, Level
from sane_core.api.given import Weights, take_all
from sane_core.api.networks import Said
from sane_core.architectures.architecture import Architecture
from sane_core.weights.symmetry.derive import Inputs
from schemas.config.refine import RefineConfig
from schemas.config.sample import Bandwidth, Method
from schemas.config.samplers import Coupling

if TYPE_CHECKING:
    from sane_core.api.sampled import Sampled
    from sane_core.api.task import Data

__all__ = ["Level", "Sane"]


class Sane(Encoding):
    """An autoencoder with all that takes weights to its tokens and back.

    How one is loaded and saved is `Stored`, what it says of given networks `Encoding`; here it
    makes new ones.
    """

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
