"""Forecasts: how long a tuning will take, what it will cost, and what it will reach.

- `work`: what a run has to do, in numbers. `parts`: what each of its parts costs, by those.
- `timings`: the stopwatch of a run. `history`: what earlier runs on this machine took and reached.
- `speeds`: the seconds of the smallest pieces of work: measured, known, or by their size.
- `measuring`: a pilot on some of the pictures. It trains nothing and stores no model.
- `accuracy`: what a run will reach. `forecast`: the ranges, and what they rest on.
- `making`: one from all this.

Uses data, train, tasks, jobs and results. Knows nothing of ranks, and of how a run is carried out.
"""
