"""Algorithm 1 in plain loops: from prepared clips to the weights after the last epoch (METHOD 3 to 6 and 8).

Written from METHOD: one clip, one joint, one sample at a time. The layers of the network (linear maps, attention,
BatchNorm) are the package's own, called one by one; what is fed to which, when, and in which mode, is said here.
"""

import copy
import math

import numpy as np
import torch

from airfast.models.inputs import Tokens
from airfast.training.pretrain import initial
from tests.reference import labels as label_stage

MODALITIES = ("joint", "bone", "motion")
SCALES = ("x", "la", "ha")


class Training:
    """A run of AIR with the default inputs; :meth:`run` gives its log.

    Args:
        motion: the training clips alone.
        config: method air, all modalities, both part skeletons, ``inputs`` the default, any ``cluster.outliers``.
    """

    def __init__(self, motion, config):
        self.motion, self.config, self.air = motion, config, config.air
        self.layout = motion.layout
        self.network = copy.deepcopy(initial(config, motion.layout))
        self.frames = [self.normalised(i) for i in range(len(motion))]
        self.mean, self.deviation = self.statistics()
        self.random = torch.Generator().manual_seed(config.seed)
        self.moments = {}
        known = motion.subjects if self.air.nuisance == "subject" else [""] * len(motion)
        self.nuisance = [sorted(set(known)).index(each) for each in known]
        self.labels = self.agreement = None
        self.clusters = 0
        self.trained_on = list(range(len(motion)))

    # Clips (METHOD 8)

    def normalised(self, index):
        """(n, J, 6) of a clip: turned by its mean shoulders, positions about the root, velocities in the room."""
        clip = np.asarray(self.motion.clip(index), np.float64)
        left, right = self.layout.shoulders
        across = (clip[:, left] - clip[:, right]).mean(0)
        angle = math.atan2(across[2], across[0])
        turned = clip.copy()
        turned[..., 0] = clip[..., 0] * math.cos(angle) + clip[..., 2] * math.sin(angle)
        turned[..., 2] = clip[..., 2] * math.cos(angle) - clip[..., 0] * math.sin(angle)
        velocity = np.zeros_like(turned)
        last = len(turned) - 1
        for t in range(len(turned)):
            before, after = max(t - 1, 0), min(t + 1, last)
            velocity[t] = (turned[after] - turned[before]) / (after - before) * float(self.motion.fps[index])
        return np.concatenate([turned - turned[:, [self.layout.root]], velocity], axis=2)

    def read(self, index, start, span):
        """(6, T, J): a stretch of a clip at T even times."""
        clip, count = self.frames[index], self.config.inputs.frames
        out = np.zeros((6, count, clip.shape[1]))
        for step in range(count):
            time = start + span * step / (count - 1)
            low = min(math.floor(time + 1e-6), len(clip) - 1)  # a time that is a frame, but for rounding, is that frame
            high = min(low + 1, len(clip) - 1)
            out[:, step] = (clip[low] + (time - low) * (clip[high] - clip[low])).T
        return out

    def whole(self, index):
        return self.read(index, 0.0, len(self.frames[index]) - 1.0)

    def views(self, batch):
        """(B, 6, T, J): crop of 0.5 to 1, mirror, a turn of 15 degrees, 5 mm of noise on positions."""
        lengths = torch.tensor([len(self.frames[i]) - 1.0 for i in batch])
        ratio = 0.5 + 0.5 * torch.rand(len(batch), generator=self.random)
        start = (lengths - lengths * ratio) * torch.rand(len(batch), generator=self.random)
        crops = [
            self.read(i, s, n * r)
            for i, s, n, r in zip(batch, start.tolist(), lengths.tolist(), ratio.tolist(), strict=True)
        ]
        flips = torch.rand(len(batch), 1, 1, 1, generator=self.random).flatten() < 0.5
        angles = (torch.rand(len(batch), generator=self.random) * 2 - 1) * math.radians(15)
        noise = torch.randn(len(batch), 3, *crops[0].shape[1:], generator=self.random).numpy() * 0.005
        out = []
        for crop, flip, angle, shaken in zip(crops, flips, angles.tolist(), noise, strict=True):
            view = crop.copy()
            if flip:
                for joint, other in enumerate(self.layout.mirror):
                    view[:, :, joint] = crop[:, :, other]
                view[[0, 3]] = -view[[0, 3]]  # across the body, in positions and in velocities
            turned = view.copy()
            for x, z in ((0, 2), (3, 5)):
                turned[x] = math.cos(angle) * view[x] + math.sin(angle) * view[z]
                turned[z] = math.cos(angle) * view[z] - math.sin(angle) * view[x]
            turned[:3] += shaken
            out.append(turned)
        return np.stack(out)

    # Tokens (METHOD 1)

    def readings(self, clip, scale):
        """(M, 3, T, P) of a clip (6, T, J): joint, bone, motion of the body or of its parts."""
        parents = {"x": self.layout.parents, "la": self.layout.low_parents, "ha": self.layout.high_parents}[scale]
        if scale != "x":
            part_of = self.layout.low if scale == "la" else self.layout.high
            clip = np.stack(
                [clip[:, :, [j for j, p in enumerate(part_of) if p == part]].mean(2) for part in range(len(parents))], 2
            )
        bones = np.stack([clip[:3, :, p] - clip[:3, :, q if q >= 0 else p] for p, q in enumerate(parents)], 2)
        return np.stack([clip[:3], bones, clip[3:]])

    def statistics(self):
        """Mean and standard deviation by scale: (M, 3, 1, P), over every frame of every training clip."""
        mean, deviation = {}, {}
        for scale in SCALES:
            values = np.concatenate([self.readings(self.whole(i), scale) for i in range(len(self.motion))], axis=2)
            mean[scale] = values.mean(2, keepdims=True)
            spread = values.std(2, keepdims=True)
            deviation[scale] = np.where(spread > 1e-4, spread, 1.0)
        return mean, deviation

    def tokens(self, clips, scale):
        """A :class:`Tokens` a modality of clips (B, 6, T, J)."""
        rows = [(self.readings(clip, scale) - self.mean[scale]) / self.deviation[scale] for clip in clips]
        out = {}
        for m, modality in enumerate(MODALITIES):
            temporal = np.stack([[row[m][:, t].T.ravel() for t in range(row.shape[2])] for row in rows])
            spatial = np.stack([[row[m][:, :, p].T.ravel() for p in range(row.shape[3])] for row in rows])
            out[modality] = Tokens(torch.from_numpy(temporal).float(), torch.from_numpy(spatial).float())
        return out

    def features(self, clips):
        return {scale: self.network.encoder.multi(self.tokens(clips, scale), scale) for scale in SCALES}

    # Labels (METHOD 3, Eq. 1)

    def relabel(self):
        with torch.no_grad():
            self.network.eval()
            found = self.features([self.whole(i) for i in range(len(self.motion))])
            self.network.train()
        seen = {scale: self.centred(rows.double().numpy()) for scale, rows in found.items()}
        unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in seen.values()]
        settings = self.air.cluster
        k1, k2 = settings.neighbours(len(self.motion))
        labels, _ = label_stage.labels(np.concatenate(unit, 1), settings.eps, settings.min_samples, k1, k2)
        self.found = labels.copy()
        self.agreement = label_stage.agreement(seen["x"], seen["ha"], self.air.alr.k)
        self.clusters = labels.max() + 1
        self.trained_on = list(range(len(labels)))
        if settings.outliers == "singleton":
            for i in np.flatnonzero(labels < 0):
                labels[i] = self.clusters
                self.clusters += 1
        if settings.outliers == "drop":
            self.trained_on = [i for i, label in enumerate(labels) if label >= 0]
        assert self.clusters >= 2  # nothing would be shown otherwise
        self.labels = labels
        for scale in ("x", "ha"):
            self.restart(scale, found[scale])

    def centred(self, rows):
        """Standardised within the clips that share a nuisance; a mean counts one clip more, a variance eight."""
        if self.air.nuisance == "none":
            return rows
        rows = rows - rows.mean(0)
        groups = {of: [i for i, its in enumerate(self.nuisance) if its == of] for of in set(self.nuisance)}
        left = rows.copy()
        for members in groups.values():
            left[members] -= rows[members].sum(0) / (len(members) + 1)
        whole = (left**2).mean(0)
        out = left.copy()
        for members in groups.values():
            variance = ((left[members] ** 2).sum(0) + 8 * whole) / (len(members) + 8)
            out[members] = left[members] / np.sqrt(variance)
        return out

    def restart(self, scale, features):
        """Rows of a head: unit-norm centroids in the space behind its neck; what Adam knew of them is forgotten."""
        head = self.network.heads[scale]
        with torch.no_grad():
            hidden = head.hidden(features)
            normed = (hidden - hidden.mean(0)) / torch.sqrt(hidden.var(0) + head.neck.eps) * head.neck.weight
            head.neck.running_mean.copy_(hidden.mean(0))
            head.neck.running_var.copy_(hidden.var(0))
            head.weight.zero_()
            for cluster in range(self.clusters):
                centroid = normed[torch.from_numpy(self.labels == cluster)].sum(0)
                head.weight[cluster] = centroid / centroid.norm()
        self.moments.pop(f"heads.{scale}.weight", None)

    # A step (Eq. 2 to 7)

    def losses(self, batch):
        views = [self.views(batch) for _ in range(4)]
        network, multi = self.network, self.features(views[3])
        singles, multis = [], {scale: [] for scale in SCALES}
        for m, modality in enumerate(MODALITIES):
            tokens = self.tokens(views[m], "x")[modality]
            singles.append(network.projectors[modality](network.encoder.single(tokens, modality, "x")))
            for scale in SCALES:
                project = network.projectors if scale == "x" else network.part_projectors
                multis[scale].append(project[modality](multi[scale]))
        intra = sum(
            ((one if scale == "x" else one.detach()) - many).square().mean()
            for scale in SCALES
            for one, many in zip(singles, multis[scale], strict=True)
        )
        centre = sum(singles) / len(singles)
        inter = sum((one - centre).square().mean() for one in singles)
        everything = [*singles, *(z for scale in SCALES for z in multis[scale])]
        known = [self.nuisance[i] for i in batch]
        named = {"intra": 5 * intra, "inter": 5 * inter, "vcreg": sum(spread(z, known) for z in everything)}
        if self.labels is not None:
            of_x, of_ha = (self.logits(scale, multi[scale]) for scale in ("x", "ha"))
            weight = self.air.cluster.weight
            named["class_x"] = weight * self.refined(of_x, of_ha, batch)
            named["class_ha"] = weight * self.appendage(of_ha, batch)
        return named

    def logits(self, scale, features):
        head = self.network.heads[scale]
        return head.neck(head.hidden(features)) @ head.weight[: self.clusters].T

    def appendage(self, logits, batch):
        """Eq. 2."""
        terms = []
        for row, clip in zip(logits, batch, strict=True):
            label, s = self.labels[clip], float(self.agreement[clip])
            if label >= 0:
                log_q = torch.log_softmax(row, 0)
                divergence = -log_q.mean() - math.log(len(row))
                terms.append(s * -log_q[label] + (1 - s) * divergence)
        return sum(terms) / max(1, len(terms))

    def refined(self, logits, other, batch):
        """Eq. 3."""
        terms = []
        for row, theirs, clip in zip(logits, other, batch, strict=True):
            label, s = self.labels[clip], float(self.agreement[clip])
            if label >= 0:
                target = s * torch.softmax(theirs.detach(), 0)
                target[label] += 1 - s
                terms.append(-(target * torch.log_softmax(row, 0)).sum())
        return sum(terms) / max(1, len(terms))

    def adam(self, rate):
        """Kingma & Ba 2015, with the decay added to the gradient."""
        for name, weight in self.network.named_parameters():
            if weight.grad is None:
                continue
            step, first, second = self.moments.get(name, (0, torch.zeros_like(weight), torch.zeros_like(weight)))
            gradient = weight.grad + self.config.train.weight_decay * weight.detach()
            step, first = step + 1, 0.9 * first + 0.1 * gradient
            second = 0.999 * second + 0.001 * gradient**2
            self.moments[name] = step, first, second
            with torch.no_grad():
                corrected = (second / (1 - 0.999**step)).sqrt() + 1e-8
                weight -= rate * (first / (1 - 0.9**step)) / corrected

    def batches(self):
        """Random order, batches of one size; of clips that were chosen, full ones with the first again at the end."""
        size, pool = self.config.train.batch_size, self.trained_on
        if self.labels is not None and self.air.cluster.outliers == "drop":
            size = min(len(pool), size)
            order = torch.randperm(len(pool), generator=self.random).tolist()
            order += order[: -len(order) % size]
        else:
            count = math.ceil(len(pool) / size)
            size = len(pool) // count
            order = torch.randperm(len(pool), generator=self.random).tolist()[: count * size]
        return [[pool[i] for i in order[at : at + size]] for at in range(0, len(order), size)]

    def run(self):
        """A dictionary an epoch: the mean of every term, the rate, and labels and agreement where there are any."""
        log, settings = [], self.config.train
        for epoch in range(settings.epochs):
            rate = settings.lr * (0.1 if epoch >= round(settings.drops[0] * settings.epochs) else 1.0)
            if epoch >= self.air.warmup:
                self.relabel()
            steps = []
            for batch in self.batches():
                self.network.zero_grad()
                named = self.losses(batch)
                sum(named.values()).backward()
                self.adam(rate)
                steps.append({name: each.item() for name, each in named.items()})
            means = {name: sum(step[name] for step in steps) / len(steps) for name in steps[0]}
            log.append(means | {"loss": sum(means.values()), "lr": rate})
            if self.labels is not None:
                log[-1] |= {"labels": self.found, "agreement": self.agreement}
        return log


def spread(z, nuisance):
    """Variance and covariance terms about the mean of those that share a nuisance (METHOD 5 and 8)."""
    groups = {of: [i for i, its in enumerate(nuisance) if its == of] for of in set(nuisance)}
    left = torch.stack([row - z[groups[of]].mean(0) for row, of in zip(z, nuisance, strict=True)])
    covariance = left.T @ left / max(1, len(z) - len(groups))
    variance = torch.diagonal(covariance)
    off = covariance - torch.diag(variance)
    return 5 * torch.relu(1 - torch.sqrt(variance + 1e-4)).mean() + off.square().sum() / z.shape[1]
