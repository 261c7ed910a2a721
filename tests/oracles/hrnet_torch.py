"""HRNet in plain PyTorch, with the names of the published checkpoints.

Written for the tests, layer by layer from the network's description; as slow and as
literal as need be. ``HRNet(width, joints, ...).state_dict()`` has the published names.
"""

import torch
from torch import nn


class BasicBlock(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x):
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(x + self.bn2(self.conv2(y)))


class Bottleneck(nn.Module):
    def __init__(self, inputs, channels):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, 4 * channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * channels)
        self.downsample = None
        if inputs != 4 * channels:
            self.downsample = unit(inputs, 4 * channels, 1, relu=False)

    def forward(self, x):
        y = torch.relu(self.bn1(self.conv1(x)))
        y = torch.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


def unit(inputs, outputs, kernel=3, stride=1, relu=True):
    layers = [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, *([nn.ReLU()] if relu else []))


class ExchangeModule(nn.Module):
    def __init__(self, widths, blocks, outputs):
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*(BasicBlock(width) for _ in range(blocks)))
            for width in widths
        )
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(self.fuse(widths, i, j) for j in range(len(widths)))
            for i in range(outputs)
        )

    @staticmethod
    def fuse(widths, target, source):
        if source == target:
            return nn.Identity()
        if source > target:
            layers = unit(widths[source], widths[target], 1, relu=False)
            layers.append(nn.Upsample(scale_factor=2 ** (source - target)))
            return layers
        steps = []
        for k in range(source, target):
            last = k == target - 1
            outputs = widths[target] if last else widths[source]
            steps.append(unit(widths[source], outputs, stride=2, relu=not last))
        return nn.Sequential(*steps)

    def forward(self, xs):
        xs = [branch(x) for branch, x in zip(self.branches, xs, strict=True)]
        return [
            torch.relu(sum(layer(x) for layer, x in zip(layers, xs, strict=True)))
            for layers in self.fuse_layers
        ]


class HRNet(nn.Module):
    def __init__(
        self, width=32, joints=16, stem=64, bottlenecks=4, blocks=4, modules=(1, 4, 3)
    ):
        super().__init__()
        self.conv1 = nn.Conv2d(3, stem, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        self.conv2 = nn.Conv2d(stem, stem, 3, 2, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(stem)
        self.layer1 = nn.Sequential(
            *(Bottleneck(4 * stem if i else stem, stem) for i in range(bottlenecks))
        )
        widths = [width * 2**i for i in range(4)]
        self.transition1 = nn.ModuleList(
            [
                unit(4 * stem, widths[0]),
                nn.Sequential(unit(4 * stem, widths[1], stride=2)),
            ]
        )
        self.stages = len(modules)
        for stage, count in enumerate(modules, start=2):
            if stage > 2:
                added = nn.Sequential(unit(widths[stage - 2], widths[stage - 1], 3, 2))
                kept = [nn.Identity() for _ in range(stage - 1)]
                setattr(self, f"transition{stage - 1}", nn.ModuleList([*kept, added]))
            last = stage == self.stages + 1
            outputs = [stage] * (count - 1) + [1 if last else stage]
            parts = (ExchangeModule(widths[:stage], blocks, n) for n in outputs)
            setattr(self, f"stage{stage}", nn.Sequential(*parts))
        self.final_layer = nn.Conv2d(width, joints, 1)

    def forward(self, x):
        """(B, 3, H, W) -> (B, joints, H/4, W/4)."""
        x = torch.relu(self.bn1(self.conv1(x)))
        x = torch.relu(self.bn2(self.conv2(x)))
        x = self.layer1(x)
        xs = [layer(x) for layer in self.transition1]
        for stage in range(2, self.stages + 2):
            if stage > 2:
                layers = getattr(self, f"transition{stage - 1}")
                xs = [layer(x) for layer, x in zip(layers, [*xs, xs[-1]], strict=True)]
            xs = getattr(self, f"stage{stage}")(xs)
        return self.final_layer(xs[0])


def randomize(model, seed):
    """Random weights and statistics that keep activations of about the same size."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(like, low, high):
        return torch.rand(like.shape, generator=generator) * (high - low) + low

    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Conv2d):
                fan_in = module.weight[0].numel()
                noise = torch.randn(module.weight.shape, generator=generator)
                module.weight.copy_(noise * fan_in**-0.5)
                if module.bias is not None:
                    module.bias.copy_(uniform(module.bias, -0.5, 0.5))
            elif isinstance(module, nn.BatchNorm2d):
                module.weight.copy_(uniform(module.weight, 0.5, 1))
                module.bias.copy_(uniform(module.bias, -0.5, 0.5))
                module.running_mean.copy_(uniform(module.bias, -0.5, 0.5))
                module.running_var.copy_(uniform(module.bias, 0.5, 2))
    return model
