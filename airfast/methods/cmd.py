"""CMD (Mao et al., ECCV 2022): contrast in joints, bones and motion, which teach one another whom a clip is like.

A recurrent network a modality learns, one follows it, and a queue keeps its keys; all queues hold the same clips in the
same rows. How alike a clip's key is to the nearest keys of its modality is a distribution; the queries of the other
modalities are to have the same one over the same clips. What the paper leaves open is decided in FAMILY 6.
"""

from collections.abc import Sequence
from itertools import permutations

import torch
from torch import Tensor
from torch.nn import functional as F

from airfast.config import Config
from airfast.methods.contrast import NetworkContrast
from airfast.methods.method import plain
from airfast.models.bigru import BiGRU
from airfast.models.deployed import AModality
from airfast.skeletons.layout import Layout

TEACHER, STUDENT = 0.05, 0.1  # temperatures


class CMDEncoder(AModality):
    """A BiGRU on each modality, side by side: 3·2h entries of all three."""

    def __init__(self, config: Config, layout: Layout) -> None:
        super().__init__(config, layout, lambda: BiGRU(layout, config.bigru.hidden, config.bigru.reverse))


class CMD(NetworkContrast):
    """CMD; with one modality, or ``cmd.weight=0``, each modality's contrast alone.

    Args:
        config: the run's configuration.
        layout: the skeleton.
    """

    longest = 16_384
    views = (plain, plain)

    def __init__(self, config: Config, layout: Layout) -> None:
        super().__init__(config, CMDEncoder(config, layout))
        self.weight = config.cmd.weight

    def losses(self, views: Sequence[Tensor], batch: Tensor) -> dict[str, Tensor]:
        """A contrast a modality, and what they teach one another over the nearest half of the queue (Eq. 8 to 10).

        Args:
            views: (B, C, T, J), of the queries and of the keys.
            batch: (B,) int64, the clips.
        """
        query, key = self.embedded(views, batch)
        named = {each: self.against_queue(query[each], key[each], each, batch) for each in self.names}
        if self.weight and len(self.names) > 1:
            teachers = {each: key[each] @ self.queue(each).rows.T for each in self.names}  # (B, K)
            students = {each: query[each] @ self.queue(each).rows.T for each in self.names}
            nearest = max(1, len(self.queue(self.names[0]).rows) // 2)
            taught = [distillation(teachers[u], students[v], nearest) for u, v in permutations(self.names, 2)]
            named["distil"] = self.weight * torch.stack(taught).sum()
        return named


def distillation(teacher: Tensor, student: Tensor, nearest: int) -> Tensor:
    """KL(p_u ‖ p_v) over the rows that are nearest to the teacher, mean over the batch; only the student learns.

    Args:
        teacher: (B, K) similarities of u's keys to u's queue.
        student: (B, K) similarities of v's queries to v's queue, the same clips.
        nearest: k, rows that are compared.

    Source: Mao et al. 2022, Eq. 5 to 8.
    """
    near, rows = teacher.detach().topk(nearest, dim=1)
    wanted = F.log_softmax(near / TEACHER, dim=1)
    found = F.log_softmax(student.gather(1, rows) / STUDENT, dim=1)
    return F.kl_div(found, wanted, reduction="batchmean", log_target=True)
