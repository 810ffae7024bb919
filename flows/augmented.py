"""How train images were moved while a zoo's networks were trained, as far as a store knows it."""

from schemas.config.augmented import Augmented
from schemas.config.training import TrainingConfig
from schemas.records import Artifact
from tasks.store import Store
from tasks.zoos import training_of


def augmented_of(store: Store, tokens: Artifact) -> Augmented | None:
    """Return what was done to the images that the networks of some tokens were trained on.

    Args:
        store: Where it lies.
        tokens: Of the zoo.

    Returns:
        That of the zoo's own recipe; of a zoo from elsewhere, that which its newest generation was
        told; None if it was told none.
    """
    training = training_of(store.manifest(store.manifest(tokens).inputs["zoo"]))
    if training is None:
        for _, made in store.artifacts("generation"):
            if made.inputs["tokens"].digest == tokens.digest:
                training = TrainingConfig.model_validate(made.config["recipe"])
    return None if training is None else Augmented.of(training)
