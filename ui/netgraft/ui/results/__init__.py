"""The results page of a job, /jobs/JOB: complete HTML that needs no script to be read.

    results/
    ├── endpoints.py   the addresses: the page, the pictures of a cell, one picture
    ├── gather.py      everything that the page shows, from the services
    ├── history.py     the job's events as curves
    ├── charts.py      lines as SVG
    ├── curves.py      the curves, with a table for those who do not see them
    ├── forecast.py    what was forecast, beside the outcome
    ├── page.py        the page, section by section
    ├── figures.py     its tables: classes, confusion
    ├── pictures.py    its pictures: mistakes, and those of a cell
    ├── results.css    light and dark, narrow and wide, printed
    └── results.js     sorting, pictures in a dialog, news while the job runs

Knows nothing of Gradio. Whatever the data name (files, classes) is escaped where HTML is made.
"""
