"""How long the rule planner takes for a sentence.

    .venv/bin/python tests/bench/bench_planner.py

Prints median and maximum of wall-clock milliseconds; the contract's target is 5 ms.
"""

import time
from statistics import median

from netgraft.agent.rules import default_planner

TEXTS = (
    "show resnet50, retarget to 100 classes, fine-tune on ./flowers for 5 epochs with lr 0.01",
    "把resnet18改成10类,然后在digits上训练2轮,训练完导出成onnx",
    "compare resnet18 and resnet34",
)
REPEAT = 50


def main() -> None:
    planner = default_planner()
    planner.plan(TEXTS[0])
    times = []
    for _ in range(REPEAT):
        for text in TEXTS:
            start = time.perf_counter()
            planner.plan(text)
            times.append(1e3 * (time.perf_counter() - start))
    print(f"median {median(times):.2f} ms, maximum {max(times):.2f} ms")  # noqa: T201


if __name__ == "__main__":
    main()
