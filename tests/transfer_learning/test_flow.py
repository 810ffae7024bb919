"""Every target of a zoo is a stage of its own, on its own images."""

from flows.algorithm import Compiled
from flows.made_zoo import MadeZoo
from flows.transfer_learning import transfer_all
from schemas.config.benchmark import BenchmarkConfig
from schemas.config.training import TrainingConfig
from schemas.records import Artifact

OWN = TrainingConfig(learning_rate=0.2)


def artifact(name):
    return Artifact(uri=f"store/{name}/0", digest="0" * 64, kind=name)


def done(zoo, *targets, crop=0, **more):
    config = BenchmarkConfig.model_validate(
        {
            "zoos": [{"name": "a"}, {"name": "b"}],
            "experiments": ["transfer"],
            "transfer": {"targets": targets},
            **more,
        }
    )
    calls = []

    def run(stage, config, **inputs):
        calls.append((stage.name, config, inputs))
        return artifact(f"{stage.name}-{len(calls)}")

    images = artifact("zoo-images")
    training = TrainingConfig(learning_rate=0.1, crop=crop)
    made = MadeZoo(artifact("zoo"), [0, 1], images, training)
    compiled = Compiled(zoo, made, (0, 1), artifact("tokens"), artifact("windows"))
    return transfer_all(run, config, compiled, artifact("model"), artifact("global")), calls


def task(name, **more):
    return {"name": name, "images": {"dataset": "digits"}, **more}


def test_targets_are_stages_in_their_order_and_those_of_other_zoos_are_left_out():
    targets = task("one"), task("two", zoos=["b"]), task("three", zoos=["a", "b"])
    made, calls = done("a", *targets)
    assert list(made) == ["transferred_0", "transferred_1"]
    stages = [config for name, config, _ in calls if name == "transfer_learning"]
    assert [config.target.name for config in stages] == ["one", "three"]


def test_a_target_reads_its_own_images_beside_the_zoos():
    _, calls = done("a", task("one"))
    (_, _, nothing), (_, _, inputs) = calls
    assert nothing == {}
    assert inputs["target"].kind == "images-1" and inputs["images"].kind == "zoo-images"


def test_networks_are_trained_as_the_zoos_unless_the_target_says_how():
    _, calls = done("a", task("one"), task("two", training=OWN.model_dump(mode="json")))
    recipes = [config.recipe for name, config, _ in calls if name == "transfer_learning"]
    assert [recipe.learning_rate for recipe in recipes] == [0.1, 0.2]


def test_a_target_knows_how_the_zoos_networks_saw_their_images_whatever_its_own_recipe():
    own = OWN.model_copy(update={"crop": 3}).model_dump(mode="json")
    _, calls = done("a", task("one", training=own), crop=2)
    (stage,) = [config for name, config, _ in calls if name == "transfer_learning"]
    assert (stage.recipe.crop, stage.zoo_augmented.crop) == (3, 2)


def test_decoders_that_methods_draw_from_are_sharpened_on_the_images_a_target_says():
    methods = ["scratch", "sharpened_sub"]
    here = task("here", methods=methods, sharpened_on="target")
    there = task("there", methods=[*methods, "sharpened_unlabelled_sub"])
    _, calls = done("a", task("none"), here, there, sharpen={"steps": 3})
    sharpened = [
        (config.sharpen.targets[0], inputs["images"].kind)
        for name, config, inputs in calls
        if name == "sharpen"
    ]
    assert sharpened == [
        ("labels", "images-3"),
        ("labels", "zoo-images"),
        ("prompts", "zoo-images"),
    ]
    decoders = [
        sorted(name for name in inputs if name.startswith("sharpened"))
        for name, _, inputs in calls
        if name == "transfer_learning"
    ]
    assert decoders == [[], ["sharpened"], ["sharpened", "sharpened_unlabelled"]]


def test_the_baseline_goes_to_targets_that_draw_from_it():
    asked = task("with", methods=["scratch", "global_kde30"])
    _, calls = done("a", task("without"), asked, global_baseline=True)
    given = [inputs.get("baseline") for name, _, inputs in calls if name == "transfer_learning"]
    assert given == [None, artifact("global")]
