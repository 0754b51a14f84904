"""A child that was forked after the label stage was used can use it too: it has a thread of its own and no other."""

import faulthandler
import os
import sys
import time

import numpy as np
import pytest
import torch

from airfast.labels import generate_labels

LIMIT = 60  # seconds; it takes one


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("knn", ["exact", "ivf"])
def test_a_forked_child_labels_as_its_parent(threads, knn):
    threads(2)
    rows = np.random.default_rng(0).normal(size=(2500, 32)).astype(np.float32)
    ours = generate_labels(rows, knn=knn, eps=0.9)
    child = os.fork()
    if not child:
        faulthandler.dump_traceback_later(LIMIT / 2, exit=True)  # where it hangs, should it
        try:
            theirs = generate_labels(rows, knn=knn, eps=0.9)
            os._exit(0 if torch.equal(ours.labels, theirs.labels) and torch.get_num_threads() == 1 else 3)
        except BaseException as error:
            print(error, file=sys.stderr)
            os._exit(4)
    ends = time.monotonic() + LIMIT
    while time.monotonic() < ends:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            assert os.waitstatus_to_exitcode(status) == 0
            break
        time.sleep(0.05)
    else:
        os.kill(child, 9)
        os.waitpid(child, 0)
        pytest.fail("the child hangs")
    assert torch.get_num_threads() == 2
