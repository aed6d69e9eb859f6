"""The durable life of a job. Knows no Ray and no torch."""
