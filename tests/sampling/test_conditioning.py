"""Running statistics of samples are of images moved as the networks' training moved them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from flows.augmented import augmented_of
from sane_core.api.sane import Sane
from sane_core.api.task import Task, as_trained
from sane_core.architectures.registry import architecture_named
from sane_core.generation.batch_norm import Conditioning, condition
from sane_core.seeding import seed_for
from schemas.config.augmented import Augmented
from schemas.config.images import ImagesConfig
from schemas.config.recipes import RECIPES
from schemas.config.training import TrainingConfig
from schemas.config.zoo import ZooConfig
from schemas.records import Artifact, Record
from tasks.store import Store
from tasks.zoo import ZooStage
from tests.api.stages import RESNET, network
from tests.sampling.conftest import images, parts

LITTLE = {"n": 2, "candidates": 4, "conditioning_batches": 2, "conditioning_batch": 16}
MOVED = Augmented(flip=True, crop=2)


class Told(Record):
    """A stage that is told how networks are trained, or nothing."""

    recipe: TrainingConfig | None = None


@pytest.fixture
def cropped(sane: Sane) -> Sane:
    """The same SANE, knowing that its ResNets were trained on moved images."""
    described = sane.description
    zoos = [
        z.model_copy(update={"augmented": MOVED}) if z.architecture == RESNET else z
        for z in described.zoos
    ]
    described = described.model_copy(update={"zoos": tuple(zoos)})
    return Sane(replace(sane.bundle, description=described))


def statistics_on(state: dict[str, torch.Tensor], moved: Augmented) -> torch.Tensor:
    """Measure them again, from the train images of the data."""
    seed = seed_for(0, "conditioning")
    where = Conditioning(parts(RESNET)["train"], 2, 16, seed, moved.flip, moved.crop)
    population = {name: value[None] for name, value in state.items()}
    return condition(architecture_named(RESNET), population, where)["bn1.running_mean"][0]


@pytest.mark.parametrize("augmented", [True, False])
def test_statistics_are_of_images_as_the_zoo_was_trained_on_unless_it_is_refused(
    cropped: Sane, augmented: bool
) -> None:
    given = {"prompts": [network(RESNET, 2)], "data": parts(RESNET), **LITTLE}
    found = cropped.sample(**given, conditioning_augmented=augmented)
    wanted, other = (MOVED, Augmented()) if augmented else (Augmented(), MOVED)
    state = found.state_dict(0)
    torch.testing.assert_close(state["bn1.running_mean"], statistics_on(state, wanted))
    assert not torch.allclose(state["bn1.running_mean"], statistics_on(state, other), atol=1e-4)
    told = found.provenance.data
    assert (told.flip, told.crop) == (wanted.flip, wanted.crop)


def test_a_zoo_of_which_nothing_is_known_is_conditioned_on_images_as_they_are(sane: Sane) -> None:
    given = {"prompts": [network(RESNET, 2)], "data": parts(RESNET), **LITTLE}
    found = sane.sample(**given)
    state = found.state_dict(0)
    torch.testing.assert_close(state["bn1.running_mean"], statistics_on(state, Augmented()))
    plain = sane.sample(**given, conditioning_augmented=False)
    np.testing.assert_array_equal(found.states[0]["fc.weight"], plain.states[0]["fc.weight"])


@pytest.mark.parametrize(
    ("architecture", "dataset", "wanted"),
    [
        ("resnet18", "cifar10", Augmented(flip=True, crop=4)),
        ("resnet18[size=16,width=8]", "cifar10-jpeg", Augmented(flip=True, crop=2)),
        ("resnet18[size=16,width=8]", "cifar10", Augmented()),
        ("cnn", "mnist", Augmented()),
        ("resnet18", "", Augmented()),
    ],
)
def test_without_a_zoo_a_recipe_on_the_dataset_says_it(architecture, dataset, wanted) -> None:
    some = images(RESNET, 2, 0)
    task = Task("some", some, some, dataset=dataset)
    assert as_trained(task, None, architecture_named(architecture)).augmented == wanted
    settled = replace(task, augmented=Augmented(crop=1))
    assert as_trained(settled, None, architecture_named(architecture)) == settled


def test_the_zoo_goes_before_a_recipe(cropped: Sane) -> None:
    zoo = next(z for z in cropped.description.zoos if z.architecture == RESNET)
    some = images(RESNET, 2, 0)
    task = Task("some", some, some, dataset="cifar10")
    assert as_trained(task, zoo, architecture_named("resnet18")).augmented == MOVED


def test_a_store_knows_it_of_a_zoo_trained_here_or_generated_from(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")

    def put(stage: str, config: Record, key: str = "k", **inputs: Artifact) -> Artifact:
        def write(job) -> None:
            (job.folder / "data").write_text(key)

        return store.get_or_make(stage, key, write, config=config, inputs=inputs, seed=0)[0]

    def tokens(key: str, zoo: Record) -> Artifact:
        return put("tokens", Told(), key, zoo=put("zoo", zoo, key))

    trained = tokens("trained", ZooStage.of(RECIPES["cifar10-resnet18"]))
    assert augmented_of(store, trained) == Augmented(flip=True, crop=4)
    plain = tokens("plain", ZooStage.of(ZooConfig(images=ImagesConfig())))
    assert augmented_of(store, plain) == Augmented()
    elsewhere = tokens("elsewhere", Told())
    assert augmented_of(store, elsewhere) is None
    put("generation", Told(recipe=TrainingConfig(crop=3)), tokens=elsewhere)
    assert augmented_of(store, elsewhere) == Augmented(crop=3)
