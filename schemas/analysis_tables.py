"""The Parquet tables of the analysis (paper §4); what is not available is null."""

import pyarrow as pa

_NETWORK = [
    ("zoo", pa.string()),
    ("run", pa.int32()),
    ("epoch", pa.int32()),
    ("architecture", pa.string()),
]
_FEATURES = [
    ("spread", pa.float64()),
    ("log_spectral_norm", pa.float64()),
    ("alpha", pa.float64()),
    ("alpha_weighted", pa.float64()),
    ("stable_rank", pa.float64()),
    ("log_alpha_norm", pa.float64()),
    ("log_norm", pa.float64()),
]

ANALYSED_LAYERS = pa.schema(
    [
        *_NETWORK,
        ("l", pa.int32()),
        ("name", pa.string()),
        ("tokens", pa.int32()),
        *_FEATURES,
        ("distance", pa.float64()),
        ("note", pa.string()),
    ]
)
"""A row per (run, epoch, layer).

`spread`: ẑ_l, in the latent space's units; the others as WeightWatcher names them, logarithms to
base 10; `distance`: Kolmogorov–Smirnov distance of the fit of `alpha`; `note`: why something is
null, empty where nothing is.
"""

ANALYSED_NETWORKS = pa.schema(
    [
        *_NETWORK,
        ("split", pa.string()),
        ("last", pa.bool_()),
        ("layers", pa.int32()),
        ("weights", pa.int64()),
        ("test_accuracy", pa.float64()),
        *_FEATURES,
    ]
)
"""A row per (run, epoch): means over the layers that have a value.

`last`: whether it is the run's last checkpoint; `layers`, `weights`: those cut into tokens; the
accuracy is a fraction.
"""

SPECTRA = pa.schema(
    [
        *_NETWORK,
        ("last", pa.bool_()),
        ("layer", pa.string()),
        ("edge", pa.float64()),
        ("eigenvalues", pa.list_(pa.float64())),
        ("distances", pa.list_(pa.float32())),
    ]
)
"""A row per (run, epoch): one layer's eigenvalues, and distances between latents of its tokens.

`edge`: the largest eigenvalue of a random matrix of the same size and mean square, in the limit
(Marchenko and Pastur).
"""
