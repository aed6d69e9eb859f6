"""TensorBoard over the event files of all runs, as a process that is there while somebody looks.

    board/
    ├── server.py     the process: TensorBoard's own application, on a socket of its user
    ├── asking.py     starts it, asks it, and starts it again when it has ended
    ├── closing.py    what it shows of a job that has ended: settings, figures, pictures, card
    ├── graph.py      a model's operations as its graph
    └── servicer.py   the rpc

It has no port: another user of the machine cannot reach it, and a browser only does through the
gateway, behind its login. It ends with the process that started it, and when nobody has asked it
anything for a quarter of an hour.
"""
