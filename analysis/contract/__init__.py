"""Words that cross between the node and an analysis: arrays, millimetres, codes."""
