"""The fit command as a user runs it, and the files it reads."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxflow import fit
from jaxflow.gaussians import fitting
from jaxflow.gaussians.fitting import fit_gaussians
from jaxflow.prediction import fits as fit_files
from jaxflow.reporting.figures import fits as figure
from jaxflow.runs import array_files
from jaxflow.types import GaussianFit
from tests.helpers import in_process
from tests.oracles import gaussian_fit as oracle

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A compilation cache that the processes share."""
    return {
        "JAX_ENABLE_COMPILATION_CACHE": "true",
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path_factory.mktemp("cache")),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }


@pytest.fixture(scope="module")
def maps():
    """Small maps (5000, 9, 12): several blocks, quickly fitted."""
    few, _ = oracle.random_maps(50, seed=5)
    return np.tile(few[:, 20:29, 26:38], (100, 1, 1))


@pytest.fixture(scope="module")
def answer(maps):
    return fit_gaussians(maps)


def start(cache, *flags):
    return subprocess.Popen(
        [sys.executable, "-m", "jaxflow.fit", *flags],
        cwd=REPOSITORY,
        env=os.environ | cache,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def run(cache, *flags):
    process = start(cache, *flags)
    out, error = process.communicate(timeout=240)
    return process.returncode, out, error


class TestAnswers:
    def test_maps_without_a_fit_are_counted(self, cache, tmp_path):
        maps, _ = oracle.random_maps(4, seed=5)
        maps = np.clip(maps, 0, 1).reshape(2, 2, *maps.shape[1:])
        maps[0, 1], maps[1, 0] = 0, np.nan
        np.save(tmp_path / "maps.npy", maps)
        out = tmp_path / "fits.npz"
        status, said, told = run(
            cache, f"--heatmaps={tmp_path / 'maps.npy'}", f"--out={out}"
        )
        assert status == 2 and "2 of 4 fits converged" in said
        assert "no fit for 2, at (0, 1), (1, 0): empty, flat" in told

    def test_another_scale_is_refused(self, tmp_path, capsys):
        maps, _ = oracle.random_maps(3, seed=5)
        np.save(tmp_path / "maps.npy", 255 * np.clip(maps, 0, 1))
        flags = f"--heatmaps={tmp_path / 'maps.npy'}", f"--out={tmp_path / 'fits.npz'}"
        assert in_process.run(fit, *flags) == 1
        assert "--maps=0..255" in capsys.readouterr().err
        assert in_process.run(fit, *flags, "--maps=0..255") == 0

    @pytest.mark.parametrize(
        "flags, told",
        [
            (["--heatmaps=maps.npz", "--out=./maps.npz"], "--out is the file of --hea"),
            (
                ["--heatmaps=maps.npz", "--out=s.npz", "--starts=s.npz"],
                "--out is the file of --starts",
            ),
            (
                ["--heatmaps=maps.npz", "--out=new.npz", "--figure=maps.npz"],
                "--figure is the file of --heatmaps",
            ),
            (
                ["--heatmaps=maps.npz", "--out=new.npz", "--figure=new.npz"],
                "--figure is the file of --out",
            ),
        ],
    )
    def test_nothing_that_is_read_is_written_over(
        self, tmp_path, monkeypatch, capsys, flags, told
    ):
        monkeypatch.chdir(tmp_path)
        maps, _ = oracle.random_maps(2, seed=5)
        np.savez("maps.npz", heatmaps=np.clip(maps, 0, 1))
        before = (tmp_path / "maps.npz").read_bytes()
        assert in_process.run(fit, *flags) == 1
        assert told in capsys.readouterr().err
        assert (tmp_path / "maps.npz").read_bytes() == before
        assert not (tmp_path / "new.npz").exists()


class TestCommand:
    @pytest.mark.slow
    def test_killed_and_started_again(self, cache, maps, answer, tmp_path):
        source, out = tmp_path / "maps.npy", tmp_path / "new" / "fits.npz"
        np.save(source, maps.reshape(100, 50, 9, 12))
        flags = (f"--heatmaps={source}", f"--out={out}")
        note = out.with_name("fits.npz.part.json")
        rows = out.with_name("fits.npz.part.npy")
        process = start(cache, *flags)
        while process.poll() is None and not note.exists():
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert not out.exists()
        done = json.loads(note.read_text())["done"]
        assert 0 < done <= len(maps)
        # A mark in what is done already shows that it is not done again.
        np.load(rows, mmap_mode="r+")[0, 6] = 77.0

        code, text, error = run(cache, *flags)
        assert code == 2, error  # some of the noisy maps have no fit
        assert "5000 fits converged" in text and "fit/s" in error
        with np.load(out) as file:
            assert file["fits"].shape == (100, 50, 7)
            assert file["rmse"][0, 0] == 77
            rest = {
                name: file[name].reshape(5000, *file[name].shape[2:])[1:]
                for name in GaussianFit._fields
            }
        for name in GaussianFit._fields:
            expected = np.asarray(getattr(answer, name))[1:]
            np.testing.assert_array_equal(rest[name], expected, err_msg=name)
        assert [path.name for path in out.parent.iterdir()] == ["fits.npz"]

    @pytest.mark.slow
    def test_figure_starts_and_uint8(self, cache, tmp_path):
        few, _ = oracle.random_maps(5, seed=2)
        np.savez(tmp_path / "maps.npz", heatmaps=np.round(few * 255).astype(np.uint8))
        np.save(tmp_path / "starts.npy", np.full((5, 2), 40.0))
        code, text, error = run(
            cache,
            f"--heatmaps={tmp_path}/maps.npz",
            f"--out={tmp_path}/fits.npz",
            f"--starts={tmp_path}/starts.npy",
            f"--figure={tmp_path}/sheet.png",
        )
        assert code == 2, error  # one of the maps has none
        assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")
        expected = fit_gaussians(
            np.round(few * 255).astype(np.uint8), jnp.full((5, 2), 40.0)
        )
        with np.load(tmp_path / "fits.npz") as file:
            np.testing.assert_array_equal(file["converged"], expected.converged)
            np.testing.assert_allclose(file["mean"], expected.mean, atol=1e-5)

    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("missing.npy", None, "no such file"),
            ("maps.txt", b"1 2 3", "expected one of .npy, .npz"),
            ("maps.npz", b"PK not a zip", "cannot read heatmaps from"),
        ],
    )
    def test_errors_are_one_line_that_names_the_file(
        self, tmp_path, name, content, message, capsys
    ):
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        flags = f"--heatmaps={path}", f"--out={tmp_path}/f.npz"
        assert in_process.run(fit, *flags) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert message in line and name in line


class TestFiles:
    def written(self, folder, maps, name=""):
        np.save(folder / "maps.npy", maps)
        np.savez(folder / "maps.npz", heatmaps=maps, other=np.zeros(3))
        np.savez_compressed(folder / "packed.npz", heatmaps=maps)
        if name == "maps.h5":
            h5py = pytest.importorskip("h5py", reason="h5py is not installed")
            with h5py.File(folder / "maps.h5", "w") as file:
                file["detector/maps"] = maps

    @pytest.mark.parametrize("name", ["maps.npy", "maps.npz", "packed.npz", "maps.h5"])
    def test_every_format_in_pieces(self, tmp_path, maps, name):
        grid = maps.reshape(250, 20, 9, 12)
        self.written(tmp_path, grid, name)
        flat = array_files.Flat(array_files.open_maps(tmp_path / name))
        assert flat.shape == maps.shape and flat.batch == (250, 20)
        for start, stop in ((0, 64), (64, 128), (4990, 5000), (7, 8), (0, 5000)):
            np.testing.assert_array_equal(flat[start:stop], maps[start:stop])

    def test_memory_mapped_not_read(self, tmp_path, maps):
        self.written(tmp_path, maps)
        for name in ("maps.npy", "maps.npz"):
            assert isinstance(array_files.open_maps(tmp_path / name), np.memmap)

    def test_which_array_is_asked_for(self, tmp_path, maps):
        self.written(tmp_path, maps)
        assert array_files.open_maps(tmp_path / "maps.npz", "other").shape == (3,)
        with pytest.raises(ValueError, match="maps.npz.*'none'.*heatmaps, other"):
            array_files.open_maps(tmp_path / "maps.npz", "none")

    @pytest.mark.parametrize("name", ["maps.npy", "maps.npz", "packed.npz", "maps.h5"])
    def test_files_cut_short_are_named(self, tmp_path, maps, name):
        self.written(tmp_path, maps, name)
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) // 2])
        with pytest.raises(ValueError, match=name):
            array_files.open_maps(tmp_path / name)

    def test_pickles_are_refused(self, tmp_path):
        np.save(tmp_path / "maps.npy", np.array([{}], object), allow_pickle=True)
        with pytest.raises(ValueError, match="maps.npy"):
            array_files.open_maps(tmp_path / "maps.npy")

    def test_another_source_is_not_continued(self, tmp_path, maps):
        out, source = tmp_path / "fits.npz", tmp_path / "maps.npy"
        np.save(source, maps)
        flat = array_files.Flat(array_files.open_maps(source))
        part = fit_files.PartFile(out, 5000, fit_files.identity(source, flat, {}))
        fit = GaussianFit.from_array(jnp.zeros((10, 7)))
        part.append(jax.tree.map(np.asarray, fit))
        again = fit_files.PartFile(out, 5000, fit_files.identity(source, flat, {}))
        other = fit_files.PartFile(
            out, 5000, fit_files.identity(source, flat, {"a": 1})
        )
        assert (again.done, other.done) == (10, 0)

    @pytest.mark.parametrize("change", ["key", "starts"])
    def test_another_array_or_start_is_not_continued(
        self, tmp_path, monkeypatch, change
    ):
        """A run that ended before it could write had fitted all maps."""
        maps, _ = oracle.random_maps(2, seed=5)
        maps = np.clip(maps, 0, 1)
        np.savez(tmp_path / "maps.npz", a=maps, b=maps[::-1])
        np.save(tmp_path / "starts.npy", np.full((2, 2), 30.0))
        flags = (
            f"--heatmaps={tmp_path / 'maps.npz'}",
            f"--out={tmp_path / 'fits.npz'}",
            f"--starts={tmp_path / 'starts.npy'}",
        )

        def stopped(*arguments):
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(fit_files, "write_npz", stopped)
            in_process.run(fit, *flags, "--key=a")
        again = []
        fit_rest = fit_files.fit_rest

        def counting(maps, starts, part):
            again.append(len(part.rows) - part.done)
            yield from fit_rest(maps, starts, part)

        monkeypatch.setattr(fit_files, "fit_rest", counting)
        if change == "starts":
            np.save(tmp_path / "starts.npy", np.full((2, 2), 31.0))
        in_process.run(fit, *flags, "--key=b" if change == "key" else "--key=a")
        assert again == [2]

    def test_blocks_hold_a_bounded_number_of_bytes(self):
        for size in (3, 64, 256, 4096):
            shape = np.broadcast_to(np.float32(0), (10**6, size, size))
            block = fitting.block_size(shape)
            assert block * size * size * 4 <= max(2**25, 16 * size * size * 4)


class TestFigure:
    def test_ellipses_lie_at_one_and_two_sigma(self):
        fit = GaussianFit.from_array(
            jnp.asarray([[0.9, 30.0, 20.0, 5.0, 0.6, 2.0, 0.01]])
        )
        bump = [0.9, 30.0, 20.0, 5.0, 0.6, 2.0]
        for radius, outline in zip((1, 2), figure.ellipses(fit)[0], strict=True):
            values = [value_at(bump, x, y) for x, y in outline]
            np.testing.assert_allclose(
                values, 0.9 * np.exp(-(radius**2) / 2), rtol=1e-4
            )

    def test_a_sheet_has_a_map_and_a_residual_for_each_fit(self):
        few, _ = oracle.random_maps(3, seed=2)
        fits = np.tile(np.float32([0.9, 30, 20, 5, 0.6, 2, 0.01]), (3, 1))
        drawing = figure.sheet(few, fits, np.array([True, False, True]))
        titles = [axis.get_title(loc="left") for axis in drawing.axes]
        assert titles[0] == "RFoot" and titles[3] == "not converged"
        assert len(drawing.axes) == 6


def value_at(bump, x, y):
    """The bump at a point between the pixels, by moving it there."""
    moved = [bump[0], bump[1] - x, bump[2] - y, *bump[3:]]
    return oracle.bump(moved, 1, 1)[0, 0]
