"""The paper's tables and figures that a store can be asked for: what each is collected from.

A table is a query over what experiments left in a store; this list is the queries, as data.
"""

from dataclasses import dataclass, field
from typing import Literal

from schemas.errors import UserError

Experiment = Literal["probe", "generate", "transfer", "ablate", "preset"]

STAGES: dict[Experiment, tuple[str, ...]] = {
    "probe": ("probes",),
    "generate": ("generation",),
    "transfer": ("transfer_learning",),
    "ablate": ("ablation",),
    "preset": (),
}
"""Experiment -> stages that hold what it found."""


@dataclass(frozen=True)
class Listed:
    """A table or figure.

    Attributes:
        name: To ask for it.
        title: As it is headed.
        experiment: What fills it.
        make: How a run that fills it is made.
        grid: The published table; "" where the paper prints none.
        aliases: Other names.
        recipes: Column of the paper -> recipe of the zoo that fills it like for like.
    """

    name: str
    title: str
    experiment: Experiment
    make: str
    grid: str = ""
    aliases: tuple[str, ...] = ()
    recipes: dict[str, str] = field(default_factory=dict)


_PROBE = "sane run deployments/mnist-probes.yaml"
_GENERATE = "sane run deployments/mnist-generate.yaml"
_RESNET = "sane run deployments/resnet-generate.yaml"
_PROBE_RESNET = f"{_RESNET} --set experiments=[probe]"
_TRANSFER_CNN = "sane run deployments/transfer-digits-mnist.yaml"
_TRANSFER_RESNET = "sane run deployments/transfer-resnet.yaml"
_TRANSFER_WIDELY = "sane run deployments/transfer-figure5.yaml"
_CNNS = {
    "MNIST": "mnist-cnn",
    "SVHN": "svhn-cnn",
    "CIFAR-10": "cifar10-cnn3",
    "STL": "stl10-cnn3",
}
_RESNETS = {
    "CIFAR-10": "cifar10-resnet18",
    "CIFAR-100": "cifar100-resnet18",
    "Tiny-ImageNet": "tiny-imagenet-resnet18",
}

CATALOGUE = (
    Listed(
        "table1",
        "Table 1: properties of small CNNs from linear probes (R²)",
        "probe",
        _PROBE,
        "table1_9",
        ("table9", "table1_9"),
        _CNNS,
    ),
    Listed(
        "table2",
        "Table 2: properties of ResNet-18s from linear probes (R²)",
        "probe",
        _PROBE_RESNET,
        "table2",
        recipes=_RESNETS,
    ),
    Listed(
        "table3",
        "Table 3: sampled CNNs, fine-tuned on the same task (test accuracy, %)",
        "generate",
        _GENERATE,
        "table3",
        recipes=_CNNS,
    ),
    Listed(
        "table4",
        "Table 4: sampled ResNet-18s, fine-tuned on the same task (test accuracy, %)",
        "generate",
        _RESNET,
        "table4",
        recipes=_RESNETS,
    ),
    Listed(
        "table5",
        "Table 5: ResNet-18s sampled for a new task from a few prompts (test accuracy, %)",
        "transfer",
        _TRANSFER_RESNET,
        "table5",
    ),
    Listed(
        "table6",
        "Table 6: reconstruction loss by alignment and views",
        "ablate",
        "sane run deployments/ablations/table6.yaml",
    ),
    Listed(
        "table7",
        "Table 7: halo and batch-norm conditioning in sampling (test accuracy, %)",
        "generate",
        _RESNET,
        "table7",
        recipes={"CIFAR-10": "cifar10-resnet18"},
    ),
    Listed("table8", "Table 8: hyper-parameters of SANE", "preset", "it needs no run"),
    Listed(
        "table10",
        "Table 10: MNIST CNNs, pooled embedding and full sequence (R²)",
        "probe",
        _PROBE,
        "table10",
        recipes={"MNIST": "mnist-cnn"},
    ),
    Listed(
        "table11",
        "Table 11: SVHN CNNs, pooled embedding and full sequence (R²)",
        "probe",
        _PROBE,
        "table11",
        recipes={"SVHN": "svhn-cnn"},
    ),
    Listed(
        "table12",
        "Table 12: CIFAR-10 CNNs, pooled embedding and full sequence (R²)",
        "probe",
        _PROBE,
        "table12",
        recipes={"CIFAR-10": "cifar10-cnn3"},
    ),
    Listed(
        "table13",
        "Table 13: sampled CNNs on a new task (test accuracy, %)",
        "transfer",
        _TRANSFER_CNN,
        "table13",
    ),
    Listed(
        "table14",
        "Table 14: sampled ResNet-18s on a new task (test accuracy, %)",
        "transfer",
        _TRANSFER_RESNET,
        "table14",
    ),
    Listed(
        "table15",
        "Table 15: a larger architecture sampled, three prompts (test accuracy, %)",
        "transfer",
        _TRANSFER_RESNET,
        "table15",
    ),
    Listed(
        "table16",
        "Table 16: a larger architecture on a new task sampled, three prompts (test accuracy, %)",
        "transfer",
        _TRANSFER_RESNET,
        "table16",
    ),
    Listed(
        "table17",
        "Table 17: a larger architecture sampled, a single prompt (test accuracy, %)",
        "transfer",
        _TRANSFER_RESNET,
        "table17",
    ),
    Listed(
        "figure5",
        "Figure 5: several architectures sampled for a new task (test accuracy, %)",
        "transfer",
        _TRANSFER_WIDELY,
    ),
    Listed(
        "figure6",
        "Figure 6: reconstruction loss over the windows at inference",
        "ablate",
        "sane run deployments/ablations/figure6.yaml",
    ),
    Listed(
        "front",
        "The front of accuracy and novelty of every sampler (not in the paper)",
        "generate",
        "sane run deployments/quickstart.yaml",
    ),
)
"""In the order of the paper."""


def listed(name: str) -> Listed:
    """Return a table or figure by its name or another name of it.

    Raises:
        UserError: If there is none, with the names there are.
    """
    wanted = name.lower().replace(" ", "").replace("-", "_")
    for each in CATALOGUE:
        if wanted in (each.name, *each.aliases):
            return each
    names = ", ".join(each.name for each in CATALOGUE)
    raise UserError(f"a table or figure must be one of {names}, got {name!r}")
