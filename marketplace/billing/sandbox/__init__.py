"""The sandbox payment provider: a processor of our own where no money moves.

``processor`` is the far side (its tables, its rules), ``adapter`` speaks to it as to any remote
processor, ``signature`` signs what it sends, ``delivery`` sends its events to our own inbox.
"""
