"""Files of every format, written from its documentation: known positions go in."""

import json
import pickle
import subprocess
import sys

import numpy as np

KINECT = 25


def walk(joints, frames=12, seed=0, clips=None):
    """Positions (frames, joints, 3) that are never zero, in metres."""
    shape = (frames, joints, 3) if clips is None else (clips, frames, joints, 3)
    return np.random.default_rng(seed).uniform(0.1, 1.9, shape).round(4)


def ntu(bodies, missing=()):
    """A .skeleton of bodies (M, T, 25, 3); ``missing`` are pairs (body, frame)."""
    lines = [str(len(bodies[0]))]
    for frame in range(len(bodies[0])):
        there = [m for m in range(len(bodies)) if (m, frame) not in missing]
        lines.append(str(len(there)))
        for m in there:
            lines += [f"7205759403793{m} 0 1 1 0 0 0 -0.1 0.2 2", str(KINECT)]
            lines += [" ".join(map(str, [*xyz, *range(8), 2])) for xyz in bodies[m][frame].tolist()]
    return "\n".join(lines) + "\n"


def write_ntu(folder, positions):
    path = folder / "S001C002P003R002A013.skeleton"
    path.write_text(ntu(positions[None]))
    return path


def write_pyskl(folder, positions):
    path = folder / "set.pkl"
    keypoint = positions[None].astype(np.float32)
    rows = [{"frame_dir": "one", "total_frames": len(positions), "label": 3, "keypoint": keypoint}]
    path.write_bytes(pickle.dumps({"split": {"train": ["one"], "val": []}, "annotations": rows}))
    return path


def write_ctrgcn(folder, positions):
    path = folder / "NTU60_CS.npz"
    x = np.zeros((1, len(positions) + 5, 2, 25, 3), np.float32)
    x[0, : len(positions), 0] = positions
    np.savez(path, x_train=x.reshape(1, -1, 150), y_train=np.eye(60)[[7]])
    return path


def write_umurl(folder, positions):
    path = folder / "train_data_joint.npy"
    x = np.zeros((1, 3, len(positions) + 4, 25, 2), np.float32)
    x[0, :, : len(positions), :, 0] = positions.transpose(2, 0, 1)
    np.save(path, x)
    (folder / "train_label.pkl").write_bytes(pickle.dumps((["one"], [4])))
    return path


def write_amass(folder, positions):
    path = folder / "take.npz"
    np.savez(path, Jtr=positions, poses=np.zeros((len(positions), 156)), mocap_framerate=np.array(120.0))
    return path


def write_gait(folder, positions):
    import h5py

    path = folder / "features.h5"
    with h5py.File(path, "w") as file:
        file["clip_positions.csv"] = positions.reshape(len(positions), 48)
    with h5py.File(folder / "labels.h5", "w") as file:
        file["clip_positions.csv"] = 2
    return path


def write_smg(folder, positions):
    path = folder / "Sample0037_skeleton.csv"
    table = np.ones((len(positions), 25, 11))
    table[:, :, :3] = positions
    np.savetxt(path, table.reshape(len(positions), -1), delimiter=",", fmt="%.6f")
    (folder / "Sample0037_data.csv").write_text(f"{len(positions)},28,8000\n")
    return path


def write_egbm(folder, positions):
    path = folder / "take.csv"
    table = np.concatenate([positions, np.full((*positions.shape[:2], 4), 0.5)], axis=2)
    np.savetxt(path, table.reshape(len(positions), -1), delimiter=",", fmt="%.6f")
    return path


def write_imigue(folder, positions):
    path = folder / "0007_light_hand.csv"
    table = np.ones((len(positions), 35, 3))
    table[:, :, :2] = positions[:, :, :2]
    rows = np.concatenate([np.arange(len(positions))[:, None], table.reshape(len(positions), -1)], axis=1)
    np.savetxt(path, rows, delimiter=",", fmt="%.6f")
    return path


def openpose_frame(*people):
    """A frame of --write_json, of people (P, 4) or (P, 3)."""
    kinds = {4: "pose_keypoints_3d", 3: "pose_keypoints_2d"}
    empty = {f"{part}_keypoints_{d}d": [] for part in ("pose", "face", "hand_left", "hand_right") for d in (2, 3)}
    rows = [{"person_id": [-1]} | empty | {kinds[each.shape[1]]: each.ravel().tolist()} for each in people]
    return json.dumps({"version": 1.3, "people": rows})


def write_openpose(folder, positions, name="take", numbers=3):
    """Frames of one person, each with a confidence of 1; the path of the first."""
    seen = np.concatenate([positions[:, :, :numbers], np.ones((*positions.shape[:2], 1))], axis=2)
    for number, frame in enumerate(seen):
        (folder / f"{name}_{number:012d}_keypoints.json").write_text(openpose_frame(frame))
    return folder / f"{name}_{0:012d}_keypoints.json"


def write_lines(folder, positions):
    path = folder / "take.jsonl"
    lines = [json.dumps({"time": i / 50, "joints": frame.tolist()}) for i, frame in enumerate(positions)]
    path.write_text("\n".join(lines) + "\n")
    return path


def write_table(folder, positions, names):
    path = folder / "take.csv"
    header = ",".join(f"{name}_{axis}" for name in names for axis in "xyz")
    np.savetxt(path, positions.reshape(len(positions), -1), delimiter=",", header=header, comments="", fmt="%.6f")
    return path


def write_mediapipe(folder, positions):
    path = folder / "landmarks.json"
    frames = [[dict(zip("xyz", map(float, p), strict=True)) | {"visibility": 1.0} for p in f] for f in positions]
    path.write_text(json.dumps(frames))
    return path


C3D = """
import sys, warnings
import numpy as np
warnings.simplefilter("ignore")
import ezc3d
folder, names = sys.argv[1], sys.argv[2:]
positions = np.load(f"{folder}/take.npy")
made = ezc3d.c3d()
made["parameters"]["POINT"]["RATE"]["value"] = [100.0]
made["parameters"]["POINT"]["LABELS"]["value"] = names
made["parameters"]["POINT"]["UNITS"]["value"] = ["m"]
points = np.ones((4, positions.shape[1], len(positions)))
points[:3] = np.nan_to_num(positions.transpose(2, 1, 0))  # zeros, as recorders write where a marker is lost
lost = np.isnan(positions).any(axis=2).T
made["data"]["meta_points"]["residuals"] = np.where(lost, -1.0, 0.5)[None]
made["data"]["meta_points"]["camera_masks"] = np.zeros((7, *lost.shape), dtype=bool)
made["data"]["points"] = points
made.write(f"{folder}/take.c3d")
"""


def write_c3d(folder, positions, names):
    """In a process of its own: ezc3d reads, but cannot write, where FAISS was imported before."""
    np.save(folder / "take.npy", positions)
    subprocess.run([sys.executable, "-c", C3D, str(folder), *names], check=True)
    (folder / "take.npy").unlink()
    return folder / "take.c3d"
