"""The network of buildNetwork, in PyTorch, on one thread or one a core, whichever is quicker here and now:
on a machine that others use too, PyTorch's threads wait for each other. Where the task asks for CUDA and it is there, on the GPU."""

import os
import time

import torch
import torch.nn as nn
import torch.nn.functional as F
from rounds import serve, task

asked = task()
what, size, batch, classes, count = (asked[key] for key in ("what", "size", "batch", "classes", "images"))
device = "cuda" if asked.get("device") == "cuda" and torch.cuda.is_available() else "cpu"
torch.manual_seed(1)



class Body(nn.Module):
    """Convolutions, the means of all of them, and a dense layer."""

    def __init__(self, widths):
        super().__init__()
        bands = [3, *widths]
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(before, width, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
            for before, width in zip(bands, widths)
        )
        self.projection = nn.Linear(sum(widths), 128)

    def forward(self, x):
        means = []
        for block in self.blocks:
            x = block(x)
            means.append(x.mean((2, 3)))
        return self.projection(torch.cat(means, 1))


body = Body(asked.get("widths", (32, 64, 128, 256))).to(device)
head = nn.Linear(128, classes).to(device)
adam = torch.optim.Adam([*body.parameters(), *head.parameters()], lr=2e-3)
images = torch.randint(0, 256, (batch, 3, size, size), device=device).float()
labels = torch.randint(0, 2, (batch, classes), device=device).float()


def embed(x):
    return F.normalize(body(x / 127.5 - 1), dim=1)


def train():
    for _ in range(count // batch):
        adam.zero_grad()
        F.binary_cross_entropy_with_logits(head(8 * embed(images)), labels).backward()
        adam.step()
    return count, None


def encode():
    body.eval()
    with torch.no_grad():
        for _ in range(count // batch):
            embed(images)
    return count, None


def work():
    result = {"train": train, "encode": encode}[what]()
    if device == "cuda":
        torch.cuda.synchronize()
    return result


def seconds_on(threads):
    torch.set_num_threads(threads)
    work()
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


torch.set_num_threads(min({1, len(os.sched_getaffinity(0))}, key=seconds_on))
threads = torch.get_num_threads()
where = torch.cuda.get_device_name() if device == "cuda" else f"{threads} thread{'s' if threads > 1 else ''}"
serve(f"PyTorch {torch.__version__}, {where}", work)
