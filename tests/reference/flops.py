"""Cost of the networks of METHOD 2, written from its text: products alone, 2 FLOPs a multiply-accumulate."""

T, JOINTS, H, Z, ROWS = 64, {"x": 25, "la": 10, "ha": 5}, 1024, 4096, 2543  # METHOD 2, Table I's sizes
D = 2 * H


def embedding(scale):
    """MS_Emb: in→H and H→H for T temporal tokens of 3·J and J spatial tokens of 3·T."""
    joints = JOINTS[scale]
    return T * (3 * joints * H + H * H) + joints * (3 * T * H + H * H)


def fuse(scale):
    return (T + JOINTS[scale]) * H * H


def projections(scale):
    """Query, key, value, output and the feed-forward: 6 H² a token."""
    return (T + JOINTS[scale]) * 6 * H * H


def attention(scale):
    """Scores and weighted values: 2·L²·H a stream."""
    return 2 * (T**2 + JOINTS[scale] ** 2) * H


def pretraining(modalities, scales=("x", "la", "ha"), heads=3, seen_attention=True):
    """FLOPs of the graph that pre-trains: a single a modality on X, a multi a scale, projectors, heads."""
    see = attention if seen_attention else lambda scale: 0
    single = modalities * (embedding("x") + projections("x") + see("x"))
    multi = sum(modalities * embedding(s) + fuse(s) + projections(s) + see(s) for s in scales)
    projector = 2 * D * D + D * Z
    return 2 * (single + multi + modalities * (1 + len(scales)) * projector + heads * D * ROWS)


def deployed(modalities, seen_attention=True):
    """FLOPs of the multi of X alone."""
    products = modalities * embedding("x") + fuse("x") + projections("x")
    return 2 * (products + (attention("x") if seen_attention else 0))


def folded(modalities):
    """FLOPs once fuse is in the embeddings, key in query and output in value: 3 H² fewer a token."""
    return deployed(modalities) - 2 * 3 * (T + JOINTS["x"]) * H * H
