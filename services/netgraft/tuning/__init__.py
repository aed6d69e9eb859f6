"""Fine-tuning: data sets, tasks, the training step, durable jobs, and the processes that train.

Each package uses those above it in this list and none below:

- `data/`: pictures with labels, in folders or embedded. No model, no task, no Ray.
- `train/`: one training step of one model on one device. No data set, no task, no Ray.
- `tasks/`: what a model is trained for: target, loss, figures, answer. No data set, no Ray.
- `jobs/`: from a request to a resolved spec, and the durable life of a job. No Ray.
- `results/`: the outcome: the tuned model, its figures and curves, means of features.
- `forecast/`: how long a run will take and what it will reach, from earlier ones.
- `workers/`: a rank's way through a job. Of its files only `distribute` and `process_group`
  know Ray.

Knows nothing of graphs, surgery, sentences and pages.
"""
