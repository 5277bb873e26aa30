"""The networks of the comparison in PyTorch, layer by layer those of lockstep's configurations."""
import torch
from torch import nn


def mlp():
    """mlp.yaml beside this file."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 512), nn.ReLU(inplace=True),
        nn.Linear(512, 512), nn.ReLU(inplace=True), nn.Linear(512, 10))


def lenet():
    """configs/fashion-mnist.yaml."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 5, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 5, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(3136, 1024), nn.ReLU(inplace=True), nn.Linear(1024, 10))


class Block(nn.Module):
    """Two 3x3 convolutions; the shortcut is a 1x1 convolution where the shape changes."""

    def __init__(self, before, channels):
        super().__init__()
        stride = 1 if before == channels else 2
        self.body = nn.Sequential(
            nn.Conv2d(before, channels, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(channels), nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))
        nn.init.zeros_(self.body[-1].weight)
        self.shortcut = nn.Identity()
        if before != channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(before, channels, 1, stride, bias=False), nn.BatchNorm2d(channels))

    def forward(self, inputs):
        return torch.relu_(self.body(inputs).add_(self.shortcut(inputs)))


def resnet20():
    """configs/resnet20.yaml."""
    layers = [nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16),
              nn.ReLU(inplace=True)]
    before = 16
    for channels in (16, 32, 64):
        for _ in range(3):
            layers.append(Block(before, channels))
            before = channels
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def resnet18():
    """resnet18.yaml beside this file."""
    layers = [nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64),
              nn.ReLU(inplace=True), nn.MaxPool2d(2)]
    before = 64
    for channels in (64, 128, 256, 512):
        for _ in range(2):
            layers.append(Block(before, channels))
            before = channels
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 200))


def cosmoflow():
    """cosmoflow.yaml beside this file."""
    layers, before = [], 4
    for channels in (32, 64, 128, 256, 512):
        layers += [nn.Conv3d(before, channels, 3, padding=1), nn.LeakyReLU(0.3, inplace=True),
                   nn.MaxPool3d(2)]
        before = channels
    return nn.Sequential(
        *layers, nn.Flatten(), nn.Linear(4096, 128), nn.LeakyReLU(0.3, inplace=True),
        nn.Dropout(0.5), nn.Linear(128, 64), nn.LeakyReLU(0.3, inplace=True), nn.Dropout(0.5),
        nn.Linear(64, 4), nn.Tanh())


NETWORKS = {"mlp": mlp, "lenet": lenet, "resnet20": resnet20, "resnet18": resnet18,
            "cosmoflow": cosmoflow}
