"""What the columns of the bench mean: three sentences each, where the user sees them (`airfast bench --explain`)."""

CONVENTIONS = {
    "the paper's": (
        "The network that pre-trains, with its projectors and cluster heads, counted for one clip of 25 joints and "
        "64 frames by a counter that hooks layers: 2 · multiply-accumulates of linear layers and convolutions, 8 for "
        "every element of a normalisation. Attention is invisible to it, its four matrices (8H² + 8H parameters in two "
        "layers) and its products alike, and so are graph convolutions' products with the graph and parameters "
        "outside a layer. The rows of ST-GCN and AGCN are for two people a clip, those of the others for one: with "
        "that, every row that can be checked comes out within 2 % of Table I but SCD Net's, which was not reproduced. "
        "Gates of recurrent layers count; layers that CrosSCLR's heads share count as often as its code names them."
    ),
    "true": (
        "The same network and one clip of one person, with every parameter and every matrix product in it, 2 FLOPs a "
        "multiply-accumulate. Counted by PyTorch's own counter on tensors without numbers, where attention is two "
        "plain products (of a fused attention on the CPU that counter sees nothing) and held to a formula by test. "
        "Normalisations and other element-wise work are not counted: 1 % or less."
    ),
    "deployed": (
        "What is left of an encoder when training is over: no projectors, no heads, scale x alone. Its embeddings, "
        "its two transformer layers and the pooling are there in full, so it gives the features that a probe reads. "
        "Supervised networks are deployed as they train."
    ),
    "folded": (
        "The deployed encoder with its constants multiplied out: fuse into the embeddings, key into query, output "
        "into value. It gives the same features to 1e-5, by test, with 7 products of H×H a token instead of 10 (5 "
        "instead of 8 for one modality). It is the form to run, and cannot be trained on."
    ),
    "speed": (
        "Sequences a second of what is deployed, weights random, clips ready in memory: warmed up, every call waited "
        "for, the models in turn within one process, the median of the repeats. Compare rows of one run with each "
        "other first: the ratios travel, the absolute numbers belong to the machine that is named above them. `limit` "
        "is what the machine allows, by the larger of the time for the products at the rate it reaches in one large "
        "product and the time to read the weights once."
    ),
    "reported": (
        "Printed in Table I of the paper, for an RTX 4090, and measured by nobody here. It says neither batch nor "
        "precision nor whether the pre-training graph or the deployed encoder was timed. Only ratios between its rows "
        "can be set beside ratios between ours."
    ),
}


def explanation() -> str:
    """All of it, a paragraph each."""
    return "\n\n".join(f"{name}: {text}" for name, text in CONVENTIONS.items())
