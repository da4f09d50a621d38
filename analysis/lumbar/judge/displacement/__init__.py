"""Whether a disc reaches behind its bodies, as readers see it on the middle slices."""
