"""The Models service: names, exports, uploads, prefetching. Knows no graph."""
