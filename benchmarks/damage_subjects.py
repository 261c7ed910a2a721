"""Small intact inputs of every kind, the commands that read them, what these answer.

Used by `benchmarks.damages`. Everything is made here, by commands in processes of their
own where it needs JAX.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

_CACHE = "--compilation_cache={}"
_FEW = ["--num_hypotheses=4"]
_FRAMES = "synthetic_lift/seed0-train200-test60"


@dataclasses.dataclass(frozen=True)
class Run:
    """How a command ended: its status (negative for a signal) and what it told."""

    status: int
    text: str


@dataclasses.dataclass(frozen=True)
class Subject:
    """A file that people have, and the command that reads it.

    Attributes:
      name: what is told of it.
      source: the intact file or folder.
      arguments: module and flags for a source and an output path.
      answer: what a run wrote, in a form that compares.
      whole: whether a damaged file still holds what such a file holds, given the
        intact one; then another answer is no fault.
      victims: pattern of the files in a folder that are damaged.
    """

    name: str
    source: pathlib.Path
    arguments: Callable[[pathlib.Path, pathlib.Path], list[str]]
    answer: Callable[[pathlib.Path], Any]
    whole: Callable[[pathlib.Path, pathlib.Path], bool]
    victims: str = "*"


def make(folder: pathlib.Path, execute: Callable[[list[str]], Run]) -> list[Subject]:
    """All intact inputs, made in a folder, and what reads them."""
    cache = _CACHE.format(folder / "programs")
    run = _trained(folder, execute, cache)
    data = f"--data_dir={folder / 'data'}"

    def predict(source: pathlib.Path, out: pathlib.Path) -> list[str]:
        flags = [f"--checkpoint={run}", f"--out={out}", cache, *_FEW]
        return ["jaxflow.predict", str(source), *flags]

    def fit(source: pathlib.Path, out: pathlib.Path) -> list[str]:
        return ["jaxflow.fit", f"--heatmaps={source}", f"--out={out}.npz", cache]

    def evaluate(source: pathlib.Path, out: pathlib.Path) -> list[str]:
        flags = [f"--checkpoint={source}", f"--dataset={_FRAMES}", data, cache]
        flags += [f"--out={out}.json", "--noambiguous", "--nomean_pose", "--stride=20"]
        return ["jaxflow.evaluate", *flags, *_FEW]

    def import_torch(source: pathlib.Path, out: pathlib.Path) -> list[str]:
        return ["jaxflow.import_torch", f"--checkpoint={source}", f"--out={out}", cache]

    def build(source: pathlib.Path, out: pathlib.Path) -> list[str]:
        flags = [f"--manual_dir={source}", f"--data_dir={out}", "--nocard", cache]
        return ["data_builders.build", "mpi_inf_3dhp_lift", *flags]

    maps = _heatmaps(folder)
    return [
        *(
            Subject(f"predict {path.name}", path, predict, predicted, whole)
            for path, whole in zip(
                _keypoints(folder), [json_whole, json_whole, csv_whole], strict=True
            )
        ),
        *(
            Subject(f"predict {path.name}", path, predict, predicted, array_whole)
            for path in maps
        ),
        Subject("fit maps.npy", maps[0], fit, fitted, array_whole),
        Subject("evaluate run", run, evaluate, evaluated, _never, "checkpoints/*/**/*"),
        Subject("build 3dhp", _mpi_inf_3dhp(folder), build, built, hdf5_whole),
        *(
            Subject("import_torch", path, import_torch, imported, _never)
            for path in _torch_files(folder)
        ),
    ]


def same(first: Any, second: Any) -> bool:
    """Whether two answers are equal, number by number."""
    if isinstance(first, dict):
        keys = first.keys() == second.keys()
        return keys and all(same(first[key], second[key]) for key in first)
    if isinstance(first, np.ndarray) and first.dtype.kind == "f":
        return bool(np.array_equal(first, second, equal_nan=True))
    return bool(np.array_equal(first, second))


# Answers.


def predicted(out: pathlib.Path) -> dict[str, Any]:
    """Everybody's chosen pose and hypotheses, from the folders of all inputs."""
    arrays = {}
    for path in sorted(out.rglob("poses.npz")):
        with np.load(path) as file:
            arrays |= {
                name: file[name] for name in file.files if file[name].dtype != "O"
            }
    return {name: array for name, array in arrays.items() if array.dtype.kind == "f"}


def fitted(out: pathlib.Path) -> dict[str, Any]:
    """The fits."""
    with np.load(f"{out}.npz") as file:
        return {"fits": file["fits"]}


def evaluated(out: pathlib.Path) -> dict[str, Any]:
    """The figures of the test set."""
    document = json.loads(pathlib.Path(f"{out}.json").read_text())
    return {"test": json.dumps(document["test"])}


def imported(out: pathlib.Path) -> dict[str, Any]:
    """The size of what was written: the checkpoint's own checksums do the rest."""
    sizes = [path.stat().st_size for path in out.rglob("*") if path.is_file()]
    return {"bytes": sum(sizes) // 1000}


def built(out: pathlib.Path) -> dict[str, Any]:
    """What the data set holds, as its inventory tells it."""
    return {
        path.name: path.read_bytes() and np.frombuffer(path.read_bytes(), np.uint8)
        for path in sorted(out.rglob("*.array_record*"))
    }


# Whether a damaged file is still such a file.


def _never(victim: pathlib.Path, original: pathlib.Path) -> bool:
    """Another answer is never right: these carry checksums."""
    return False


def json_whole(victim: pathlib.Path, original: pathlib.Path) -> bool:
    """The same structure and plain numbers: a digit became another."""
    try:
        ours, theirs = (json.loads(path.read_text()) for path in (victim, original))
    except ValueError:
        return False
    return _alike(ours, theirs)


def _alike(ours: Any, theirs: Any, key: str = "") -> bool:
    if key == "instances" and ours == []:
        return True  # a frame with nobody
    if isinstance(theirs, dict):
        return (
            isinstance(ours, dict)
            and ours.keys() == theirs.keys()
            and all(_alike(ours[key], theirs[key], key) for key in theirs)
        )
    if isinstance(theirs, list):
        return (
            isinstance(ours, list)
            and len(ours) == len(theirs)
            and all(map(_alike, ours, theirs))
        )
    if isinstance(theirs, float) and (ours is None or ours != ours):
        return True  # null or NaN: a joint that was not found
    if isinstance(theirs, int | float):
        number = isinstance(ours, int | float) and not isinstance(ours, bool)
        return number and bool(np.isfinite(ours)) and abs(ours) < 1e5
    return type(ours) is type(theirs)


def csv_whole(victim: pathlib.Path, original: pathlib.Path) -> bool:
    """The same head, and as many plain numbers."""
    try:
        ours, theirs = (path.read_text().splitlines() for path in (victim, original))
        table = np.asarray([[float(x) for x in row.split(",")] for row in ours[1:]])
    except ValueError:
        return False
    size = len(theirs) - 1, len(theirs[0].split(","))
    return ours[0] == theirs[0] and table.shape == size and bool((table < 1e5).all())


def array_whole(victim: pathlib.Path, original: pathlib.Path) -> bool:
    """An array of the same kind, its values those of heatmaps: to 2, cut at 1."""
    try:
        ours, theirs = (np.load(path) for path in (victim, original))
        if isinstance(ours, np.lib.npyio.NpzFile):
            ours, theirs = (file[file.files[0]] for file in (ours, theirs))
    except Exception:
        return False
    if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        return False
    return bool(np.isfinite(ours).all() and ours.min() > -0.1 and ours.max() <= 2)


def hdf5_whole(victim: pathlib.Path, original: pathlib.Path) -> bool:
    """The same data sets, all finite."""
    import h5py

    if victim.suffix == ".npz":
        return array_whole(victim, original)
    try:
        with h5py.File(victim) as ours, h5py.File(original) as theirs:
            return all(
                ours[name].shape == theirs[name].shape
                and bool(np.isfinite(ours[name][()]).all())
                for name in theirs
            )
    except Exception:
        return False


# Inputs.


def _trained(
    folder: pathlib.Path, execute: Callable[[list[str]], Run], cache: str
) -> pathlib.Path:
    """The run of a small flow, two iterations long, and the data it was trained on."""
    run, flags = folder / "run", ["--batch_size=4", "--hypotheses=5", "--hidden=16"]
    flags += [f"--dataset={_FRAMES}", f"--data_dir={folder / 'data'}", "--blocks=2"]
    flags += ["--iterations=2", "--validate_every=0", f"--workdir={run}", cache]
    trained = execute(["jaxflow.train", *flags])
    if trained.status:
        raise SystemExit(f"the small run could not be trained:\n{trained.text}")
    return run


def _people(seed: int = 0) -> np.ndarray:
    """(3, 17, 3): x, y in pixels and confidence of COCO's joints, three people."""
    rng = np.random.default_rng(seed)
    place = rng.uniform([100, 60], [500, 420], (3, 17, 2))
    return np.concatenate([place, rng.uniform(0.5, 1, (3, 17, 1))], -1).round(2)


def _keypoints(folder: pathlib.Path) -> list[pathlib.Path]:
    """The same people as COCO results, in MMPose's form, as CSV and NPZ."""
    people = _people()
    coco = [
        {"image_id": i, "category_id": 1, "keypoints": person.ravel().tolist()}
        for i, person in enumerate(people)
    ]
    mmpose = {
        "instance_info": [
            {
                "frame_id": i,
                "instances": [
                    {
                        "keypoints": person[:, :2].tolist(),
                        "keypoint_scores": person[:, 2].tolist(),
                    }
                ],
            }
            for i, person in enumerate(people)
        ]
    }
    columns = [f"{axis}{i}" for i in range(17) for axis in ("x", "y", "c")]
    rows = [",".join(map(str, person.ravel())) for person in people]
    paths = [folder / name for name in ("coco.json", "mmpose.json", "points.csv")]
    for path, text in zip(
        paths,
        [json.dumps(coco), json.dumps(mmpose), "\n".join([",".join(columns), *rows])],
        strict=True,
    ):
        path.write_text(text)
    return paths


def _heatmaps(folder: pathlib.Path) -> list[pathlib.Path]:
    """Two people's clean maps (2, 16, 64, 64), as .npy and compressed .npz."""
    rng = np.random.default_rng(1)
    mean = rng.uniform(12, 52, (2, 16, 2, 1, 1))
    rows, columns = np.mgrid[:64, :64]
    squared = (columns - mean[:, :, 0]) ** 2 + (rows - mean[:, :, 1]) ** 2
    maps = (0.9 * np.exp(-squared / 8)).astype(np.float32)
    np.save(folder / "maps.npy", maps)
    np.savez_compressed(folder / "maps.npz", heatmaps=maps)
    return [folder / "maps.npy", folder / "maps.npz"]


def _mpi_inf_3dhp(folder: pathlib.Path) -> pathlib.Path:
    """A small test set of MPI-INF-3DHP in the downloaded form."""
    from tests.helpers import mpi_inf_3dhp

    return mpi_inf_3dhp.write(folder / "3dhp", mpi_inf_3dhp.content())


def _torch_files(folder: pathlib.Path) -> list[pathlib.Path]:
    """A flow in the released code's names, where PyTorch is installed."""
    try:
        import torch
    except ImportError:
        return []
    from tests.oracles import released_names

    path = folder / "model.pt"
    state = released_names.flow_state(_flow(np.random.default_rng(2)))
    tensors = {name: torch.from_numpy(array.copy()) for name, array in state.items()}
    torch.save({"net": tensors}, path)
    return [path]


def _flow(rng: np.random.Generator) -> dict[str, Any]:
    """Parameters as `jaxflow.init` gives them, made without JAX."""

    def dense(*shape: int, blocks: tuple[int, ...] = ()) -> dict[str, np.ndarray]:
        kernel = rng.normal(size=(*blocks, *shape)).astype(np.float32) / 10
        return {"kernel": kernel, "bias": kernel[..., 0, :]}

    def net() -> dict[str, Any]:
        features, output = dense(24, 16, blocks=(8,)), dense(16, 48, blocks=(8,))
        condition = dense(56, 16, blocks=(8,))
        return {"features": features, "condition": condition, "output": output}

    encoder = {"Dense_0": dense(78, 256), "Dense_1": dense(256, 56)}
    return {"encoder": encoder, "blocks": {"net1": net(), "net2": net()}}
