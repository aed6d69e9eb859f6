"""Fine-tuning: data sets, the training step, distribution, and durable jobs around them.

Laid in rings, and each ring knows only those inside it:

- `data/` knows pictures and folders; no model, no Ray.
- `step`, `schedule`, `precision` train one module on one device; no data set, no Ray.
- `group` is a rank among others (torch.distributed); `run` is one rank's way through a job.
- `events`, `jobs` are the durable facts in the database; no Ray, no torch.
- `distribute`, `launch`, `entry` and `deployment` alone know Ray.

Knows nothing of graphs, surgery, sentences and pages.
"""
