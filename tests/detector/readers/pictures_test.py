"""Picture files of every kind, and files that are none."""

import io
import struct
import zlib

import numpy as np
import pytest

from jaxflow.detector.crops import crop, warp
from jaxflow.detector.readers import pictures
from tests.helpers.cases import case

Image = pytest.importorskip("PIL.Image")


def slopes(height=45, width=61):
    """Red grows with x and green with y, so that a pixel tells where it is."""
    y, x = np.mgrid[:height, :width]
    planes = [3 * x + 20, 4 * y + 20, np.full_like(x, 90)]
    return np.stack(planes, -1).astype(np.uint8)


def save(path, image, **options):
    image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    image.save(path, **options)
    return path


def turned(number):
    """EXIF data that say how a picture is turned."""
    exif = Image.Exif()
    exif[0x0112] = number
    return exif


@pytest.mark.parametrize("most", [1023, 4095, 65535])
@pytest.mark.parametrize("suffix", ["pgm", "PGM", "ppm"])
def test_pgm_of_more_than_8_bits(most, suffix, tmp_path):
    grey = np.linspace(0, most, 20 * 30).round().reshape(20, 30)
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(b"P5 30 20 %d\n" % most + grey.astype(">u2").tobytes())
    found = pictures.read(path).pixels
    np.testing.assert_allclose(found[..., 0], grey / most * 255, atol=0.51)


class TestKinds:
    @pytest.mark.parametrize("suffix", ["png", "bmp", "webp", "tif", "ppm", "gif"])
    def test_formats(self, tmp_path, suffix):
        options = {"lossless": True} if suffix == "webp" else {}
        image = np.repeat(slopes()[..., :1], 3, -1) if suffix == "gif" else slopes()
        found = pictures.read(save(tmp_path / f"a.{suffix}", image, **options))
        np.testing.assert_array_equal(found.pixels, image)
        assert found[1:] == (61, 45, 1, (0, 0))

    def test_a_jpeg_whatever_its_name_says(self, tmp_path):
        path = save(tmp_path / "a.png", slopes(), format="JPEG", quality=95)
        close = np.abs(pictures.read(path).pixels.astype(int) - slopes())
        assert np.percentile(close, 95) < 8

    def test_cmyk(self, tmp_path):
        image = Image.fromarray(slopes()).convert("CMYK")
        path = save(tmp_path / "a.jpg", image, quality=95)
        close = np.abs(pictures.read(path).pixels.astype(int) - slopes())
        assert np.percentile(close, 95) < 12

    def test_grey_palette_and_single_bits(self, tmp_path):
        grey = slopes()[..., 0]
        for mode in ("L", "P"):
            path = save(tmp_path / f"{mode}.png", Image.fromarray(grey).convert(mode))
            found = pictures.read(path).pixels
            np.testing.assert_array_equal(found, np.repeat(grey[..., None], 3, -1))
        path = save(tmp_path / "1.png", Image.fromarray(grey > 100))
        assert set(np.unique(pictures.read(path).pixels)) == {0, 255}

    @pytest.mark.parametrize("suffix", ["png", "tif"])
    def test_sixteen_bits(self, tmp_path, suffix):
        grey = slopes()[..., 0]
        path = save(tmp_path / f"a.{suffix}", Image.fromarray(grey.astype("u2") * 257))
        found = pictures.read(path).pixels
        np.testing.assert_array_equal(found, np.repeat(grey[..., None], 3, -1))

    @pytest.mark.parametrize("bits", [8, 10, 12, 16])
    def test_fewer_bits_in_sixteen(self, tmp_path, bits):
        """As cameras write them; white is white."""
        grey = np.linspace(0, 2**bits - 1, 40 * 40).reshape(40, 40).astype(np.uint16)
        for suffix in ("png", "tif"):
            path = save(tmp_path / f"a.{suffix}", Image.fromarray(grey))
            close = pictures.read(path).pixels[..., 0] - grey * (255 / (2**bits - 1))
            assert np.abs(close).max() <= 1
        content = b"P5 40 40 %d\n" % (2**bits - 1)
        content += grey.astype(">u2" if bits > 8 else "u1").tobytes()
        (tmp_path / "a.pgm").write_bytes(content)
        close = (
            pictures.read(tmp_path / "a.pgm").pixels[..., 0] - grey / grey.max() * 255
        )
        assert np.abs(close).max() <= 1

    def test_sixteen_bits_whose_zero_is_white(self, tmp_path):
        grey = np.linspace(0, 65535, 40 * 40).reshape(40, 40).astype(np.uint16)
        path = save(tmp_path / "a.tif", Image.fromarray(grey), tiffinfo={262: 0})
        found = pictures.read(path).pixels[..., 0]
        assert found[0, 0] == 255 and found[-1, -1] == 0

    def test_colours_in_the_lower_of_sixteen_bits_are_refused(self, tmp_path):
        """Pillow keeps the upper eight, in which there is next to nothing."""
        colours = np.full((40, 40, 3), 4095, ">u2")
        rows = b"".join(b"\0" + row.tobytes() for row in colours)

        def chunk(name, content):
            check = struct.pack(">I", zlib.crc32(name + content))
            return struct.pack(">I", len(content)) + name + content + check

        head = struct.pack(">IIBBBBB", 40, 40, 16, 2, 0, 0, 0)
        (tmp_path / "a.png").write_bytes(
            b"\x89PNG\r\n\x1a\n"
            + chunk(b"IHDR", head)
            + chunk(b"IDAT", zlib.compress(rows))
            + chunk(b"IEND", b"")
        )
        with pytest.raises(pictures.PictureError, match="16 bits .* nearly black"):
            pictures.read(tmp_path / "a.png")

    def test_what_is_transparent_is_white(self, tmp_path):
        alpha = np.where(np.arange(61) < 30, 0, 255)[None].repeat(45, 0)
        image = np.concatenate([slopes(), alpha[..., None].astype(np.uint8)], -1)
        found = pictures.read(save(tmp_path / "a.png", image)).pixels
        assert (found[:, :30] == 255).all()
        np.testing.assert_array_equal(found[:, 30:], slopes()[:, 30:])
        path = save(tmp_path / "b.png", slopes(), transparency=(20, 20, 90))
        assert pictures.read(path).pixels[0, 0].tolist() == [255, 255, 255]

    def test_pixels_of_32_bits_are_refused(self, tmp_path):
        path = save(tmp_path / "a.tif", Image.fromarray(np.ones((20, 20), np.float32)))
        with pytest.raises(pictures.PictureError, match=r"a\.tif: pixels of 32 bits"):
            pictures.read(path)

    def test_arrays(self):
        found = pictures.from_array(slopes()[..., 0])
        assert found.pixels.shape == (45, 61, 3) and found.width == 61
        with pytest.raises(pictures.PictureError, match="of uint8; got .* float64"):
            pictures.from_array(np.zeros((45, 61, 3)))


class TestTurned:
    @pytest.mark.parametrize("number", range(1, 9))
    def test_as_pillow_turns_them(self, tmp_path, number):
        path = save(tmp_path / "a.png", slopes(), exif=turned(number))
        from PIL import ImageOps

        with Image.open(path) as image:
            expected = np.asarray(ImageOps.exif_transpose(image))
        found = pictures.read(path)
        np.testing.assert_array_equal(found.pixels, expected)
        assert (found.height, found.width) == expected.shape[:2]

    @pytest.mark.parametrize("number", range(1, 9))
    @pytest.mark.parametrize("step", [2, 4, 8])
    def test_reduced_pixels_know_their_places(self, tmp_path, number, step):
        """Sizes that no step divides: 61 = 7 x 8 + 5."""
        path = save(
            tmp_path / "a.jpg",
            slopes(),
            quality=100,
            subsampling=0,
            exif=turned(number),
        )
        whole = pictures.read(path)
        most = -(-61 // step) * -(-45 // step) / 1e6
        found = pictures.read(path, megapixels=most)
        assert found.step == step and found[1:3] == whole[1:3]
        assert found.pixels.shape[:2] == (
            -(-whole.height // step),
            -(-whole.width // step),
        )
        rows, columns = (np.arange(n) for n in found.pixels.shape[:2])
        x = np.rint(found.offset[0] + step * columns).astype(int)
        y = np.rint(found.offset[1] + step * rows).astype(int)
        inside = np.ix_(
            (y > 4) & (y < whole.height - 5), (x > 4) & (x < whole.width - 5)
        )
        x, y = np.clip(x, 0, whole.width - 1), np.clip(y, 0, whole.height - 1)
        there = whole.pixels[np.ix_(y, x)].astype(float)
        # Half a pixel between grids is 2 grey levels; a place wrong by one is 3 or more
        # in every pixel.
        error = np.abs(found.pixels - there)[inside].mean((0, 1))
        assert error.max() < 2.7

    @pytest.mark.parametrize("suffix", ["tif", "jpg", "webp", "avif"])
    @pytest.mark.parametrize("number", [3, 6, 8])
    def test_once_in_every_format(self, tmp_path, suffix, number):
        """Some are turned by Pillow as it loads them, others not."""
        if suffix == "avif":
            Image.init()
            if "AVIF" not in Image.SAVE:
                pytest.skip("this Pillow writes no AVIF")
        png = save(tmp_path / "a.png", slopes(), exif=turned(number))
        path = save(tmp_path / f"a.{suffix}", slopes(), exif=turned(number))
        right, found = pictures.read(png), pictures.read(path)
        assert found[1:] == right[1:]
        assert np.abs(found.pixels.astype(int) - right.pixels).mean() < 6

    def test_a_turned_tiff(self):
        found = pictures.read(case("pictures/shot.tif"))
        assert (found.width, found.height) == (96, 160)
        assert found.pixels[:10].mean((0, 1)).argmax() == 0
        assert found.pixels[-10:].mean((0, 1)).argmax() == 2

    def test_damaged_exif_data_turn_nothing(self, tmp_path):
        path = save(tmp_path / "a.jpg", slopes(), exif=b"Exif\0\0MM\0*\0\0\xff\xff\xff")
        assert pictures.read(path).pixels.shape == (45, 61, 3)
        path = save(tmp_path / "b.jpg", slopes(), exif=turned(77))
        assert pictures.read(path).pixels.shape == (45, 61, 3)


class TestLarge:
    def test_thirty_thousand_pixels(self, tmp_path):
        image = np.zeros((40, 30000, 3), np.uint8)
        image[:, 14900:15100] = 255
        path = save(tmp_path / "a.jpg", image)
        assert pictures.read(path).pixels.shape == (40, 30000, 3)
        found = pictures.read(path, megapixels=0.1)
        assert found.step == 4 and found.width == 30000
        square = crop.from_box([14872, -108, 256, 256], margin=1.0)
        seen = np.asarray(warp.crops(found, square))[0, 128, :, 0]
        edges = np.flatnonzero(np.diff((seen > 127).astype(int)))
        np.testing.assert_allclose(edges + 0.5, [27.5, 227.5], atol=2)

    def test_a_png_is_refused_by_its_header(self, tmp_path):
        path = tmp_path / "a.png"
        for side, message in ((12000, "144 megapixels"), (30000, "too large")):
            path.write_bytes(png_header(side, side))
            with pytest.raises(pictures.PictureError, match=rf"a\.png: .*{message}"):
                pictures.read(path)

    def test_a_limit_beyond_pillow_s_own_holds(self, tmp_path):
        """196 megapixels, of which nothing but the header is there."""
        path = tmp_path / "a.png"
        path.write_bytes(png_header(14000, 14000))
        before = Image.MAX_IMAGE_PIXELS
        with pictures._open(path) as image:
            assert pictures._reduce(image, megapixels=200) == 1
        assert Image.MAX_IMAGE_PIXELS == before

    def test_a_jpeg_of_which_an_eighth_is_too_large(self, tmp_path):
        path = save(tmp_path / "a.jpg", slopes(400, 400))
        with pytest.raises(
            pictures.PictureError, match="at an eighth it still exceeds"
        ):
            pictures.read(path, megapixels=0.002)

    def test_a_progressive_jpeg_would_be_held_whole(self, tmp_path):
        path = save(tmp_path / "a.jpg", slopes(), progressive=True)
        assert pictures.read(path).pixels.shape == (45, 61, 3)
        with pytest.raises(pictures.PictureError, match="progressive"):
            pictures.read(path, megapixels=0.002)

    def test_a_header_that_lies(self, tmp_path):
        """30,000 x 30,000 px promised; what is there is 64 x 64."""
        content = bytearray(jpeg(slopes(64, 64)))
        at = content.index(b"\xff\xc0") + 5
        content[at : at + 4] = struct.pack(">HH", 30000, 30000)
        path = tmp_path / "a.jpg"
        path.write_bytes(content)
        with pytest.raises(
            pictures.PictureError, match=r"a\.jpg: .*cannot hold the 30"
        ):
            pictures.read(path)


class TestNoPictures:
    @pytest.mark.parametrize("share", [0.2, 0.6, 0.95])
    def test_a_truncated_jpeg(self, tmp_path, share):
        content = jpeg(np.random.default_rng(0).integers(0, 256, (90, 90, 3), np.uint8))
        path = tmp_path / "a.jpg"
        path.write_bytes(content[: int(share * len(content))])
        with pytest.raises(
            pictures.PictureError, match=r"a\.jpg: damaged or cut short"
        ):
            pictures.read(path)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing"),
            (b"\xef\xbb\xbf\n<?xml version='1.0'?><svg/>", "an SVG drawing"),
            (b"<html>not found</html>", "expected a picture .JPEG, PNG"),
            (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n", "it is none of"),
            (b"", "the file is empty"),
            (b"\xff\xd8\xff", "damaged or cut short"),
            (b"\x89PNG\r\n\x1a\n" + bytes(40), "a.jpg: "),
        ],
    )
    def test_other_content(self, tmp_path, content, message):
        path = tmp_path / "a.jpg"
        path.write_bytes(content)
        with pytest.raises(pictures.PictureError, match=message):
            pictures.read(path)

    @pytest.mark.parametrize("size", [(1, 1), (15, 400)])
    def test_too_small(self, tmp_path, size):
        path = save(tmp_path / "a.png", np.zeros((*size, 3), np.uint8))
        with pytest.raises(pictures.PictureError, match=r"a\.png: .*at least 16 x 16"):
            pictures.read(path)

    def test_no_file(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="no such picture"):
            pictures.read(tmp_path / "a.jpg")


class TestFolders:
    def test_numbers_in_names_are_numbers(self, tmp_path):
        names = (
            "b2.png a10.jpg a9.JPG a9b.png 010.png 9.png .hidden.png note.txt".split()
        )
        for name in names:
            (tmp_path / name).touch()
        found = [path.name for path in pictures.list_folder(tmp_path)]
        assert found == ["9.png", "010.png", "a9.JPG", "a9b.png", "a10.jpg", "b2.png"]

    def test_none_there(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="no pictures in"):
            pictures.list_folder(tmp_path)
        with pytest.raises(FileNotFoundError, match="no such folder"):
            pictures.list_folder(tmp_path / "none")


def jpeg(image):
    content = io.BytesIO()
    Image.fromarray(image).save(content, "JPEG", quality=95)
    return content.getvalue()


def png_header(width, height):
    """A PNG's first bytes, as far as its size."""
    data = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    check = struct.pack(">I", zlib.crc32(data))
    end = b"\0\0\0\0IEND" + struct.pack(">I", zlib.crc32(b"IEND"))
    return b"\x89PNG\r\n\x1a\n\0\0\0\r" + data + check + end
