"""HRNet: the 2D detector that turns a crop of a person into joint heatmaps.

    images (B, H, W, 3) -> heatmaps (B, J, H/4, W/4), J = 16 joints in MPII order

The network of Sun et al. 2019, in the width of 32 that the paper takes (section 4.2).
A stem halves the picture twice and a first layer of bottlenecks widens it. Then come
stages of two, three and four parallel branches, branch b at 1 / 2^b of the resolution
with 2^b times the channels. A module of a stage runs basic blocks along each branch,
after which every branch receives the sum of all of them, brought to its scale:

    y_i = relu(sum_j f_ij(x_j))     f_ii  the identity
                                    f_ij  j > i: 1x1 convolution, nearest upsampling
                                          j < i: i - j convolutions of stride 2

The last module only makes branch 0, from which a 1x1 convolution reads the heatmaps.
Every other convolution has no bias and is followed by batch normalisation.

Images are RGB crops, divided by 255 and normalised by mean and deviation; both sides
are multiples of 32. The heatmaps are raw: the released code clamps them to [0, 1].

Modules of a stage and blocks of a branch are alike, so they are scanned over, their
parameters stacked: XLA then compiles 69 convolutions instead of 293.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import jax.typing
import numpy as np

from jaxflow.config import at_least, option
from jaxflow.detector.network.blocks import (
    BasicBlock,
    Bottleneck,
    ConvNorm,
    repeat,
    upsample,
)
from jaxflow.maths import checks
from jaxflow.maths.keys import check_key
from jaxflow.maths.linalg import EXACT
from jaxflow.runs.errors import UserError
from jaxflow.types import Params

STRIDE = 4  # image pixels a heatmap pixel
MULTIPLE = 32  # of image pixels; the coarsest branch has one pixel for so many


@dataclasses.dataclass(frozen=True)
class HRNetConfig:
    """Sizes of the network; the defaults are HRNet-W32 for MPII."""

    width: int = option(32, "channels of the finest branch")
    joints: int = option(16, "heatmaps that come out")
    stem: int = option(64, "channels of the stem and inside the bottlenecks")
    bottlenecks: int = option(4, "bottleneck blocks of the first layer")
    blocks: int = option(4, "basic blocks of a branch in each module")
    stage2_modules: int = option(1, "modules of the stage with two branches")
    stage3_modules: int = option(4, "modules with three branches; 0: no such stage")
    stage4_modules: int = option(3, "modules with four branches; 0: no such stage")

    def __post_init__(self) -> None:
        """Refuses sizes that make no network."""
        at_least(self, width=1, joints=1, stem=1, bottlenecks=1, blocks=1)
        counts = self.stage2_modules, self.stage3_modules, self.stage4_modules
        if min(counts) < 0 or not counts[0] or (counts[2] and not counts[1]):
            raise UserError(
                "expected modules in stage 2, and in a later stage only if the one "
                f"before has some; got {counts}"
            )

    @property
    def modules(self) -> tuple[int, ...]:
        """Modules of each stage there is, from stage 2 on."""
        counts = self.stage2_modules, self.stage3_modules, self.stage4_modules
        return tuple(count for count in counts if count)


# Trains in seconds on a CPU; for tests, and for pictures far simpler than photographs.
TINY = HRNetConfig(
    width=16, stem=16, bottlenecks=1, blocks=1, stage3_modules=1, stage4_modules=0
)


def init(key: jax.Array, config: HRNetConfig = HRNetConfig()) -> Params:
    """Fresh variables: ``{"params": ..., "batch_stats": ...}``, float32 arrays.

    Kernels start as sqrt(2 / inputs) N(0, 1) (He et al. 2015), the last one, after
    which nothing is normalised, as 0.001 N(0, 1). The network's released code takes the
    latter for all. Normalised, that computes the same, but a step of Adam then changes
    a kernel by its own size, and running statistics lag far behind.

    Raises:
      TypeError: a legacy key.
    """
    check_key(key)
    leaves, structure = jax.tree_util.tree_flatten_with_path(shapes(config))
    sizes = [leaf.size if path[-1].key == "kernel" else 0 for path, leaf in leaves]
    # One draw, cut on the host: compiling one for each kernel would take a minute.
    draw = np.asarray(jax.random.normal(key, (sum(sizes),)))
    parts = np.split(draw, np.cumsum(sizes)[:-1])
    made = [
        _start(path[-2].key, path[-1].key, leaf.shape, part)
        for (path, leaf), part in zip(leaves, parts, strict=True)
    ]
    return jax.tree_util.tree_unflatten(structure, made)


def _start(part: str, kind: str, shape: tuple[int, ...], draw: np.ndarray) -> jax.Array:
    if kind == "kernel":
        he = math.sqrt(2 / math.prod(shape[-4:-1]))
        return jnp.asarray((0.001 if part == "final" else he) * draw.reshape(shape))
    return jnp.asarray(np.full(shape, kind in ("scale", "var"), np.float32))


@functools.lru_cache(maxsize=4)  # tracing the whole network takes a second
def shapes(config: HRNetConfig) -> Params:
    """Shapes and dtypes of the variables, without making them."""
    images = jax.ShapeDtypeStruct((1, MULTIPLE, MULTIPLE, 3), jnp.float32)
    return jax.eval_shape(
        lambda x: HRNet(config).init(jax.random.key(0), x, False), images
    )


def heatmaps(
    variables: Params,
    images: jax.typing.ArrayLike,
    config: HRNetConfig = HRNetConfig(),
    *,
    dtype: jax.typing.DTypeLike = jnp.float32,
) -> jax.Array:
    """What the detector sees, by the running statistics of its normalisation.

    Args:
      variables: as from `init`.
      images: (B, H, W, 3), normalised; H and W multiples of 32.
      config: the network's sizes.
      dtype: of the convolutions. float32 multiplies exactly on every device; bfloat16
        halves memory and is faster on accelerators, at about three digits.

    Returns:
      float32 (B, J, H/4, W/4).

    Raises:
      TypeError: the images are not floating point.
      UserError: their shape is another.
    """
    images = _checked(images)
    params = jax.tree.map(lambda leaf: leaf.astype(dtype), variables["params"])
    output = HRNet(config).apply(
        {"params": params, "batch_stats": variables["batch_stats"]},
        images.astype(dtype),
        False,
    )
    assert isinstance(output, jax.Array)
    return output.astype(jnp.float32)


def train_heatmaps(
    variables: Params, images: jax.typing.ArrayLike, config: HRNetConfig = HRNetConfig()
) -> tuple[jax.Array, Params]:
    """The same by the statistics of this batch, as in training.

    Returns:
      Heatmaps (B, J, H/4, W/4), and the running statistics moved a tenth of the way to
      the batch's (the unbiased variance, as in PyTorch).

    Raises:
      TypeError: the images are not floating point.
      UserError: their shape is another, or the coarsest branch has a single value a
        channel, which has no variance.
    """
    images = _checked(images)
    coarsest = MULTIPLE if len(config.modules) == 3 else MULTIPLE // 2
    batch, height, width, _ = images.shape
    if batch * height * width < 2 * coarsest**2:
        raise UserError(
            f"expected more than one value a channel for batch statistics; images of "
            f"shape {images.shape} leave one"
        )
    output, updated = HRNet(config).apply(
        variables, images, True, mutable=["batch_stats"]
    )
    return output, updated["batch_stats"]


class HRNet(nn.Module):
    """The whole network, (B, H, W, 3) -> (B, J, H/4, W/4)."""

    config: HRNetConfig

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """See `heatmaps`."""
        config = self.config
        for i in (1, 2):
            x = ConvNorm(config.stem, stride=2, name=f"stem{i}")(x, train)
        x = Bottleneck(config.stem, name="layer1_first")(x, train)
        rest = Bottleneck(config.stem, name="layer1")
        x = repeat(rest, config.bottlenecks - 1, x, train)
        branches = [x]
        last = len(config.modules) + 1
        for stage, count in enumerate(config.modules, start=2):
            branches = self._transition(branches, stage, train)
            module = ExchangeModule(config.blocks, stage, name=f"stage{stage}")
            repeats = count - 1 if stage == last else count
            branches = repeat(module, repeats, branches, train)
        branches = ExchangeModule(config.blocks, 1, name="last")(branches, train)
        final = nn.Conv(config.joints, (1, 1), precision=EXACT, name="final")
        return jnp.moveaxis(final(branches[0]), -1, 1)

    def _transition(
        self, branches: list[jax.Array], stage: int, train: bool
    ) -> list[jax.Array]:
        """Adds the stage's coarsest branch; the first one also changes its channels."""
        width, coarsest = self.config.width, branches[-1]
        if stage == 2:
            branches = [ConvNorm(width, name="transition2_0")(coarsest, train)]
        added = ConvNorm(
            width * 2 ** (stage - 1), stride=2, name=f"transition{stage}_{stage - 1}"
        )
        return [*branches, added(coarsest, train)]


class ExchangeModule(nn.Module):
    """Basic blocks along each branch, then the exchange between them."""

    blocks: int
    outputs: int

    @nn.compact
    def __call__(self, branches: Sequence[jax.Array], train: bool) -> list[jax.Array]:
        """Branches (B, H / 2^b, W / 2^b, 2^b width) to the first ``outputs``."""
        branches = list(branches)
        for b in range(len(branches)):
            block = BasicBlock(name=f"branch{b}")
            branches[b] = repeat(block, self.blocks, branches[b], train)
        widths = [branch.shape[-1] for branch in branches]
        results = []
        for i in range(self.outputs):
            parts = [
                self._to_scale(x, j, i, widths, train) for j, x in enumerate(branches)
            ]
            results.append(nn.relu(functools.reduce(jnp.add, parts)))
        return results

    def _to_scale(
        self, x: jax.Array, source: int, target: int, widths: list[int], train: bool
    ) -> jax.Array:
        """Branch ``source`` with the resolution and channels of branch ``target``."""
        name = f"fuse{target}_{source}"
        if source > target:
            conv = ConvNorm(widths[target], kernel=1, relu=False, name=f"{name}_0")
            return upsample(conv(x, train), 2 ** (source - target))
        for k in range(target - source):
            last = k == target - source - 1
            features = widths[target] if last else widths[source]
            conv = ConvNorm(features, stride=2, relu=not last, name=f"{name}_{k}")
            x = conv(x, train)
        return x


def _checked(images: jax.typing.ArrayLike) -> jax.Array:
    images = checks.exactly("images", images, (None, None, None, 3))
    height, width = images.shape[1:3]
    if not height or not width or height % MULTIPLE or width % MULTIPLE:
        raise UserError(
            f"expected images whose sides are multiples of {MULTIPLE} pixels; got "
            f"{height} x {width}"
        )
    return images
