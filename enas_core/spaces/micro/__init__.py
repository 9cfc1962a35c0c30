"""The micro space of ENAS: two cells, normal and reduction, of which a network of any depth is stacked.

Pham et al. 2018, section 2.4. Start with `arc.py` (what an arc is) and `space.py` (what the rest of the project sees);
`operations.py`, `cell.py`, `network.py` and `supernet.py` need torch, the other files do not.
"""
