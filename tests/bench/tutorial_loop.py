"""The peer: fine-tuning as tutorials do it, in one file, with nothing of netgraft.

Full precision, batches of 32, SGD at 0.01, pictures decoded again in every epoch, ten epochs over
a folder with `train` and `val`. Writes a line of JSON for each epoch: the seconds since the start,
and how many pictures of `val` are named right. bench_tuning.py measures netgraft against it.

    python tests/bench/tutorial_loop.py ./photographs --seed 0
"""

import argparse
import json
import sys
import time
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision import datasets, transforms
from torchvision.models import mobilenet_v2

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--loaders", type=int, default=0, help="processes that decode")
    arguments = parser.parse_args()
    began = time.perf_counter()
    torch.manual_seed(arguments.seed)
    train, val = loaders(arguments.folder, arguments.side, arguments.loaders)
    model = mobilenet_v2(weights="IMAGENET1K_V1")
    model.classifier[1] = nn.Linear(model.last_channel, len(train.dataset.classes))
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for epoch in range(1, arguments.epochs + 1):
        model.train()
        for pictures, labels in train:
            optimizer.zero_grad()
            criterion(model(pictures), labels).backward()
            optimizer.step()
        correct = count(model, val)
        seconds = time.perf_counter() - began
        line = json.dumps({"epoch": epoch, "seconds": seconds, "correct": correct})
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


def loaders(folder: Path, side: int, workers: int) -> tuple[DataLoader, DataLoader]:
    ending = [transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
    varied = [transforms.RandomResizedCrop(side), transforms.RandomHorizontalFlip(), *ending]
    middle = [transforms.Resize(side * 8 // 7), transforms.CenterCrop(side), *ending]
    train = datasets.ImageFolder(str(folder / "train"), transforms.Compose(varied))
    val = datasets.ImageFolder(str(folder / "val"), transforms.Compose(middle))
    return (
        DataLoader(train, 32, shuffle=True, num_workers=workers),
        DataLoader(val, 32, num_workers=workers),
    )


@torch.no_grad()
def count(model: nn.Module, loader: DataLoader) -> int:
    model.eval()
    return sum(int((model(pictures).argmax(1) == labels).sum()) for pictures, labels in loader)


if __name__ == "__main__":
    main()
