"""BVH forward kinematics by the book: one frame, one joint, one 4×4 matrix at a time."""

import math

import numpy as np


def positions(nodes, values):
    """Global positions (T, nodes, 3) of `airfast.data.readers.bvh.Node`s for (T, channels) values."""
    return np.array([frame(nodes, list(row)) for row in values])


def frame(nodes, row):
    world, found = [], []
    for node in nodes:
        translation, rotation = list(node.offset), np.eye(4)
        for channel in node.channels:
            value = row.pop(0)
            if channel.endswith("position"):
                translation["XYZ".index(channel[0])] = value  # replaces the OFFSET
            else:
                rotation = rotation @ about(channel[0], math.radians(value))
        local = np.eye(4)
        local[:3, 3] = translation
        above = world[node.parent] if node.parent >= 0 else np.eye(4)
        world.append(above @ local @ rotation)
        found.append(world[-1][:3, 3])
    return found


def about(axis, angle):
    c, s = math.cos(angle), math.sin(angle)
    matrices = {
        "X": [[1, 0, 0, 0], [0, c, -s, 0], [0, s, c, 0], [0, 0, 0, 1]],
        "Y": [[c, 0, s, 0], [0, 1, 0, 0], [-s, 0, c, 0], [0, 0, 0, 1]],
        "Z": [[c, -s, 0, 0], [s, c, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]],
    }
    return np.array(matrices[axis])
