"""ENAS micro search: everything that computes. The workflow around it is in `workflow/`."""
