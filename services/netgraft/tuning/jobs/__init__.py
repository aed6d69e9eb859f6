"""From a request to a resolved spec, and the durable life of a job. Knows no Ray."""
