"""Settings: the one source of names, defaults, bounds and units.

`config.yaml` holds experiments on top of the defaults in the models here, one file a section. A value is taken from the
experiment itself, else from the experiment that it `extends`, else from its preset, else from the model's default.
Start reading in `experiment.py`; `workflow.py` reads the file, `stages.py` says which part of it each stage sees.

May import `spaces` (which bring settings of their own), `files`, `fields` and `console`. Never imports torch.
"""
