"""How far a run has come, read from the files that its stages write: settings, tables, signs of life.

Nothing here asks the machine about processes: the run may be on another one, of the same file system. What a stage has
last said has an age, and the reader judges.

    stages.py    what each stage of an experiment has done
    left.py      how long the rest will take
    lines.py     as a table for a terminal
    page.py      as a page for a browser, with learning curves
"""
