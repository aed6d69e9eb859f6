"""A model that no machine here could hold: drawn without its weights."""

import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

SCRIPT = """
import resource
import sys

import torch
from torch import Tensor, nn

from netgraft.graph import document, lens
from netgraft.graph.capture.capture import capture, parameters, sizes, warm
from netgraft.graph.nesting import nest
from netgraft.graph.viewer.onefile import write

WIDTH, HEADS, LAYERS, WORDS = 12288, 96, 110, 50257


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(WIDTH, WIDTH) for _ in range(4))

    def forward(self, x_NTC: Tensor) -> Tensor:
        q, k, v = (
            part(x_NTC).unflatten(-1, (HEADS, -1)).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(mixed.transpose(1, 2).flatten(2))


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.before, self.after = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.attention = Attention()
        self.mlp = nn.Sequential(
            nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH)
        )

    def forward(self, x_NTC: Tensor) -> Tensor:
        x_NTC = x_NTC + self.attention(self.before(x_NTC))
        return x_NTC + self.mlp(self.after(x_NTC))


class Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS, WIDTH)
        self.layers = nn.Sequential(*(Layer() for _ in range(LAYERS)))
        self.head = nn.Linear(WIDTH, WORDS)

    def forward(self, tokens_NT: Tensor) -> Tensor:
        return self.head(self.layers(self.words(tokens_NT)))


class Subject:
    name = "decoder"

    def module(self, device: str) -> nn.Module:
        with torch.device(device):
            return Decoder().eval()

    def inputs(self, device: str, batch: int) -> tuple[Tensor, ...]:
        return (torch.zeros(batch, 128, dtype=torch.int64, device=device),)


warm()
recording, module = capture(Subject())
held = parameters(module)
graph = nest(recording, sizes(module))
data = document.write(graph, "decoder")
numbers = lens.write(graph, held, {})
open(sys.argv[1], "wb").write(write(data, numbers, "decoder", "lens=parameters"))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
print(recording.method, sum(p.size for p in held.values()), len(data), peak)
"""
GIGABYTES = 2


@pytest.mark.timeout(300)
def test_a_decoder_of_two_hundred_billion_parameters_is_drawn_in_two_gigabytes(
    tmp_path: Path, browser: Browser
) -> None:
    script, file = tmp_path / "draw.py", tmp_path / "decoder.html"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(script), str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    method, parameters, size, peak = done.stdout.split()
    assert method == "export"
    assert int(parameters) > 200e9
    assert int(size) < 5e6
    assert int(peak) < GIGABYTES * 1024  # megabytes
    page = browser.new_page()
    page.goto(file.as_uri())
    expect(page.locator("html")).to_have_attribute("data-netgraft", "drawn", timeout=60_000)
    expect(page.get_by_text("110 × Layer")).to_be_visible()
    page.close()
