"""A sharpened model of a store is a SANE, drawn from further away, that tells of labels."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from sane_core.api.card import model_card
from sane_core.api.sane import Sane
from sane_core.generation.sharpen_zoo import SharpenSources
from sane_core.images.images import Images
from sane_core.zoo.files import read_checkpoint
from schemas.config.embed import EmbedConfig
from schemas.config.preprocess import PreprocessConfig
from schemas.config.refine import RefineConfig
from schemas.records import Artifact, Record
from tasks.sharpen import SharpenStage, sharpen
from tasks.stage import Place
from tasks.store import Store
from tests.commands import run
from tests.sharpening.toy import configured

LITTLE = {"n": 3, "candidates": 12}


class Nothing(Record):
    """A stage without a configuration."""


@pytest.fixture(scope="module")
def made(sources: SharpenSources, tmp_path_factory) -> dict[str, Artifact]:
    """The lineage of a model in a store, and two decoders sharpened of it."""
    place = Place(store=str(tmp_path_factory.mktemp("sharpened") / "store"), seed=0)
    store = Store(place.store)

    def put(stage: str, folder: Path, config: Record | None = None, **inputs) -> Artifact:
        def copy(job) -> None:
            shutil.copytree(folder, job.folder, dirs_exist_ok=True)

        config = config or Nothing()
        return store.get_or_make(stage, "toy", copy, config=config, inputs=inputs, seed=0)[0]

    zoo = put("zoo", sources.zoo)
    tokens = put("tokens", sources.tokens, PreprocessConfig(), zoo=zoo)
    windows = put("windows", sources.tokens, tokens=tokens)
    model = put("model", sources.model, windows_0=windows)
    images = put("images", sources.images)
    found = {"plain": model}
    for target, steps in (("labels", 80), ("prompts", 1)):
        config = configured(steps=steps, target=target)
        stage = SharpenStage(sharpen=config, embed=EmbedConfig())
        found[target] = sharpen(stage, at=place, images=images, tokens=tokens, model=model)
    return found


@pytest.fixture(scope="module")
def sanes(made: dict[str, Artifact], tmp_path_factory) -> dict[str, Sane]:
    """All three as folders, loaded again."""
    found = {}
    for name, artifact in made.items():
        out = tmp_path_factory.mktemp("exported") / name
        run("model", "export", artifact.uri, "--out", out)
        found[name] = Sane.load(out)
    return found


@pytest.fixture(scope="module")
def prompts(sources: SharpenSources, tmp_path_factory) -> list[Path]:
    """The train networks of the toy zoo."""
    folder = tmp_path_factory.mktemp("prompts")
    for i in range(3):
        entries, _ = read_checkpoint(sources.zoo / "weights", i, 3)
        save_file(entries, folder / f"{i}.safetensors")
    return sorted(folder.iterdir())


def test_samples_of_a_sharpened_sane_are_better_and_say_that_labels_were_used(
    sanes: dict[str, Sane], prompts: list[Path], digits: dict[str, Images]
) -> None:
    given = {"prompts": prompts, "data": digits, **LITTLE}
    sharpened = sanes["labels"].sample(**given)
    plain = sanes["plain"].sample(**given, bandwidth=0.3)
    assert sharpened.candidate_accuracy.mean() > plain.candidate_accuracy.mean() + 0.03
    told = sharpened.provenance
    assert (told.sharpened, told.train_labels) == ("labels", "used")
    assert json.loads(sharpened.header(0)["sane"])["provenance"]["train_labels"] == "used"
    assert (plain.provenance.sharpened, plain.provenance.train_labels) == (None, "not read")
    assert told.sane_sha256 != plain.provenance.sane_sha256


def test_a_decoder_sharpened_on_answers_has_read_no_labels(
    sanes: dict[str, Sane], prompts: list[Path]
) -> None:
    told = sanes["prompts"].sample(prompts=prompts, **LITTLE).provenance
    assert (told.sharpened, told.train_labels) == ("prompts", "not read")


@pytest.mark.parametrize(
    ("name", "method", "wanted"),
    [("plain", "sub", 0.05), ("labels", "sub", 0.3), ("prompts", "boot", 0.3)],
)
def test_a_sharpened_decoder_is_drawn_from_further_away(
    sanes, prompts, digits, name: str, method: str, wanted: float
) -> None:
    given = {"prompts": prompts, "data": digits, "method": method, "rounds": 2, **LITTLE}
    found = sanes[name].sample(**given)
    assert found.provenance.bandwidth == found.provenance.drawing.bandwidth == wanted
    asked = sanes[name].sample(**given, bandwidth=0.1)
    assert asked.provenance.bandwidth == 0.1


def test_the_encoder_and_what_was_measured_of_it_stay(sanes: dict[str, Sane], prompts) -> None:
    plain, sharpened = (sanes[n].embed(prompts).vectors for n in ("plain", "labels"))
    np.testing.assert_array_equal(plain, sharpened)
    assert "sharpened" not in model_card(sanes["plain"].description, "x")
    card = model_card(sanes["labels"].description, "x")
    assert "Its decoder was sharpened" in card
    assert "Labels of these images: used" in card


def test_a_stage_of_a_store_is_sampled_from_as_it_lies_there(made, prompts, tmp_path) -> None:
    given = ("sample", "--prompts", *prompts, "-n", 2, "--candidates", 4, "--data", "digits")
    said = run(*given, "--sane", made["labels"].uri, "--out", tmp_path / "a")
    assert "samples (sub, labels used)" in said
    assert json.loads((tmp_path / "a" / "samples.json").read_text())["provenance"]["sharpened"]
    assert "samples (sub)" in run(*given, "--sane", made["plain"].uri, "--out", tmp_path / "b")
    assert "labels of train images used" in run("model", "show", made["labels"].uri)


def test_a_stage_alone_is_no_sane_and_the_message_says_what_to_do(made) -> None:
    with pytest.raises(ValueError, match="a model without the zoo .*`sane model export .*sharpen"):
        Sane.load(made["labels"].uri)


def test_refined_samples_are_better_and_say_that_labels_were_used(sanes, prompts, digits) -> None:
    given = {"prompts": prompts, "data": digits, "bandwidth": 1.0, **LITTLE}
    refine = RefineConfig(steps=20, learning_rate=0.1, target="labels")
    drawn, refined = (sanes["labels"].sample(**given, refine=way) for way in (None, refine))
    assert refined.candidate_accuracy.mean() > drawn.candidate_accuracy.mean() + 0.05
    told = sanes["plain"].sample(**given, refine=refine).provenance
    assert told.train_labels == "used"
    assert told.drawing.refine == refine
    assert told.data.train == 200


def test_refining_towards_answers_reads_no_labels(sanes, prompts, digits) -> None:
    given = {"prompts": prompts, "data": digits, **LITTLE}
    drawn, refined = (
        sanes["plain"].sample(**given, refine=way) for way in (None, RefineConfig(steps=2))
    )
    assert not np.array_equal(drawn.latents, refined.latents)
    assert refined.provenance.train_labels == "not read"


def test_the_shell_refines_too(made, prompts, tmp_path) -> None:
    given = ("sample", "--prompts", *prompts, "-n", 2, "--candidates", 4, "--data", "digits")
    steps = ("--refine", 3, "--refine-target", "labels")
    said = run(*given, *steps, "--sane", made["plain"].uri, "--out", tmp_path / "a")
    assert "samples (sub, labels used)" in said
    assert "Latents took 3 gradient steps on 1000 train images" in said


def test_no_steps_change_nothing(sanes, prompts, digits) -> None:
    given = {"prompts": prompts, "data": digits, **LITTLE}
    plain, none = (
        sanes["plain"].sample(**given, refine=way)
        for way in (None, RefineConfig(steps=0, target="labels"))
    )
    np.testing.assert_array_equal(plain.latents, none.latents)
    assert none.provenance.train_labels == "not read"


def test_what_cannot_be_refined_is_refused(sanes, prompts, digits) -> None:
    def refused(message: str, **given) -> None:
        with pytest.raises(ValueError, match=message):
            sanes["plain"].sample(
                **{"prompts": prompts, "refine": RefineConfig(), **given}, **LITTLE
            )

    refused("refine must have validation images .* got no data")
    both = "train images beside those that samples are selected on, got the same for both"
    refused(both, data=digits["validation"])
    refused(both, data={"train": digits["test"], "validation": digits["test"]})
    refused(
        "refine.target prompts needs samples that stand on one prompt",
        data=digits,
        coupling="token",
        refine=RefineConfig(target="prompts"),
    )
