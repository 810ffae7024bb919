"""What the page says about each figure and table: how to read it, never how it came out."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Section:
    """A section of the page.

    Attributes:
        anchor: Its link target.
        title: Its heading, with the place in the paper.
        reading: How to read what follows.
        figures: Names of figures and what they show, for those who cannot see them.
        tables: Names of tables; a name stands for every table `name:…` as well.
    """

    anchor: str
    title: str
    reading: str
    figures: dict[str, str]
    tables: tuple[str, ...] = ()


SECTIONS = (
    Section(
        "zoo",
        "The zoo",
        "A zoo is a population of small networks that differ in their random start and order of "
        "images; every epoch of every network is a checkpoint. The band shows how much they "
        "differ: what does not vary cannot be predicted.",
        {
            "zoo_accuracy": "Accuracy on train, validation and test images over epochs, with a "
            "band over networks, and the generalization gap over epochs."
        },
        ("zoo",),
    ),
    Section(
        "alignment",
        "Alignment (§2)",
        "Units of a hidden layer can be reordered without changing what a network computes. "
        "Alignment orders every network like one reference, at its last epoch. A point on the "
        "dashed diagonal came no closer; the further below it, the more alike the two networks "
        "look. Validation and test runs are aligned like train runs and should come as close. "
        "What is left need not be order: networks from other starts differ otherwise too, and the "
        "search ends where no single step helps, which is not always the best order.",
        {
            "alignment": "Squared distance of every run to the reference network, aligned over as "
            "trained, and the share of the distance that is left, cumulated over runs, by split."
        },
        ("alignment", "fixed"),
    ),
    Section(
        "tokens",
        "From weights to tokens (§2)",
        "Each layer is shifted and scaled by what its weights in train runs are like, so that no "
        "layer dominates the loss; unless that is switched off, then both sides are the same. "
        "Ranges that reach far beyond the spread are rare large weights, which standardization "
        "keeps. A row of weights is cut into tokens and its last token padded: where wide rows set "
        "the token size, narrow layers are mostly padding, which costs computing but never enters "
        "the loss.",
        {
            "distributions": "Smallest and largest weight, mean and standard deviation of each "
            "layer, before and after standardization.",
            "fill": "Share of real weights among the values of each layer's tokens, and real "
            "weights and padding of each layer as numbers of values.",
        },
        ("tokens",),
    ),
    Section(
        "pretraining",
        "Pretraining (§3)",
        "The autoencoder reads windows of tokens. Reconstruction counts real weights only, never "
        "padding: 1 is what predicting the mean would score, 0 is perfect. The contrastive loss "
        "asks for equal codes of two orderings of one network. The model kept is that of the "
        "lowest validation loss. The tables are of that model, on clean networks as they are "
        "stored; the curves are of what it was trained and validated on, in two views.",
        {
            "pretraining": "Training and validation curves of the reconstruction loss and of the "
            "contrastive loss over epochs.",
            "reconstruction": "Reconstruction loss of each layer on train, validation and test "
            "runs, with 95 percent intervals.",
        },
        ("pretraining", "reconstruction"),
    ),
    Section(
        "ablation-views",
        "Ablation of alignment and views (Table 6)",
        "Each setting trains an autoencoder of its own: same size, schedule and seed. Permuted "
        "views are harder to reconstruct; what counts is how much is lost of clean test networks. "
        "Settings whose intervals overlap widely are not told apart.",
        {
            "ablation_views": "Reconstruction loss in training, on train and on test runs for "
            "every setting of alignment and views."
        },
        ("ablation_views",),
    ),
    Section(
        "ablation-inference",
        "Windows at inference (Figure 6)",
        "The same trained autoencoder passes test networks in windows of other lengths than it was "
        "trained on, up to whole networks. Halo gives each window neighbours that are read but not "
        "kept. A curve that rises away from the mark says that other lengths interfere.",
        {
            "ablation_inference": "Reconstruction loss on test runs over the tokens per window, "
            "with and without halo, with 95 percent intervals; the window of training is marked."
        },
        ("ablation_inference",),
    ),
    Section(
        "ablation-sizes",
        "Window sizes in training (§B)",
        "Each length trains an autoencoder of its own. Equal compute: as many epochs, in which "
        "every token of every checkpoint is seen once, whatever the windows are; batches hold as "
        "many tokens as far as they can, so that there are about as many steps.",
        {
            "ablation_sizes": "Reconstruction loss over the length of the windows trained on: in "
            "training, on test runs in these windows, and on whole test networks."
        },
        ("ablation_sizes",),
    ),
    Section(
        "analysis",
        "Layers and their spectra (§4)",
        "WeightWatcher's metrics are of the eigenvalues of a layer's weights; ẑ is how far apart "
        "the latents of a layer's tokens lie (Eq. 8). Compare their course over the layers: the "
        "paper finds low values in early layers and a rise at the end. A correlation with accuracy "
        "is given over twenty networks or more, and n is written beside it.",
        {
            "analysis_layers": "Log spectral norm, weighted alpha and the spread of tokens over "
            "the layer index, a curve per zoo, with a band over networks.",
            "analysis_accuracy": "Test accuracy over the mean of each feature over a network's "
            "layers, a point per network, with correlations.",
            "analysis_spectra": "Histograms of one layer's eigenvalues, with the edge of random "
            "weights, and of the distances between its tokens' latents, by zoo, at the first and "
            "at the last epoch.",
        },
        (
            "analysis_means",
            "analysis_correlations",
            "analysis_spectra",
            "analysis_missing",
        ),
    ),
    Section(
        "probing",
        "Predicting properties of networks (§5.1)",
        "A linear probe predicts a property from an embedding, fitted on train runs, its "
        "regularization chosen on validation runs, scored on test runs only. Compare SANE with the "
        "layer statistics s(W), which are strong and cost nothing, and with three controls that "
        "need no pretraining. Intervals of two features may overlap and their paired difference "
        "still be sure: the table of differences says which.",
        {
            "probe_r2": "R² on test runs with 95 percent intervals, a bar per kind of features, a "
            "panel per property.",
            "predictions": "Predicted over true values on test runs, from the SANE embedding and "
            "from layer statistics; on the dashed line prediction and truth agree.",
        },
        (
            "probes",
            "probe_comparisons",
            "probe_published",
            "probe_classes",
            "probe_intervals",
            "probe_gate",
            "probe_choices",
            "probe_missing",
            "probe_transfer",
            "transfer_missing",
        ),
    ),
    Section(
        "generation",
        "Generating networks (§5.2)",
        "Samples are drawn around the embeddings of prompt networks, decoded, and kept by accuracy "
        "on validation images. Prompts are trained networks, so the yardstick is the prompts "
        "selected the same way, and noise on their weights of the same size: a sampler has to be "
        "better than both to be worth its training. Bands are one standard deviation over models.",
        {
            "finetuning": "Test accuracy over epochs of fine-tuning for every way to start, from "
            "zero-shot on, in full and enlarged at the upper end."
        },
        ("accuracy", "table7", "ensembles", "novelty"),
    ),
    Section(
        "transfer",
        "Transfer to other images and architectures (§5.2)",
        "Networks that SANE samples for a target are fine-tuned beside networks from scratch, the "
        "prompt examples themselves and noise on their weights of the same size; the i-th network "
        "of every start sees the same batches. Where prompts were trained here, they are ahead of "
        "a network from scratch by their own epochs. A sampler has to be better than prompts and "
        "noise to be worth its training.",
        {
            "transferred": "Test accuracy over epochs of fine-tuning, a panel per target, a curve "
            "per start, with a band of one standard deviation over networks."
        },
        ("transferred",),
    ),
    Section(
        "front",
        "Accuracy and novelty",
        "A copy of a training network is accurate and worthless: it errs on the same images. Each "
        "curve sweeps one sampler's knob; bars are 95 % intervals over independent draws. Of two "
        "curves the one further up and further left is better; where they touch, the samplers are "
        "equally good there. Broken lines are what a sampler has to be above.",
        {
            "front": "Test accuracy over the largest error overlap with any training network, a "
            "curve per sampler, with prompts as reference marks."
        },
        ("front_gaps",),
    ),
)
