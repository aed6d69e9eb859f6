"""Pictures as files: seconds for the first SVG, for a further one and for a kept one.

    .venv/bin/python tests/bench/bench_render.py [MODEL] [--repeat N]

"first" starts the browser too; "another" is another view of the same model; "kept" is a view
that was drawn before. Every SVG of one view is compared with the first, byte by byte.
"""

import argparse
import logging
import tempfile
import time
from statistics import median

from netgraft.graph.servicer import GraphsServicer
from netgraft.graph.viewer.render import render
from netgraft.graph.viewer.view import View
from netgraft.store.store import Store
from netgraft.v1 import graph_pb2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", default="resnet50")
    parser.add_argument("--repeat", type=int, default=100)
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        graphs = GraphsServicer(Store(f"{folder}/store", f"sqlite:///{folder}/db"))
        drawing = graph_pb2.DrawGraphRequest(model=f"{options.model}@none")
        model_id = graphs.DrawGraph(drawing).model_id

        def file(path: str, query: str = "") -> tuple[bytes, float]:
            request = graph_pb2.GetViewerFileRequest(model_id=model_id, path=path, query=query)
            start = time.perf_counter()
            data = graphs.GetViewerFile(request).data
            return data, time.perf_counter() - start

        _, first = file("graph.svg", "lens=flops")
        _, another = file("graph.svg", "lens=parameters")
        kept = median(file("graph.svg", "lens=flops")[1] for _ in range(20))
        document, lens = file("model.onnx")[0], file("lens.json")[0]
        view = View(lens="flops")
        drawn = {render(document, lens, "model", "svg", view) for _ in range(options.repeat)}
    times = f"first {first:.2f} s, another {another:.2f} s, kept {1e3 * kept:.1f} ms"
    print(f"{options.model}: {times}")  # noqa: T201
    print(f"{options.repeat} renders, {len(drawn)} different")  # noqa: T201


if __name__ == "__main__":
    main()
