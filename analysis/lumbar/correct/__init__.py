"""A reader's outlines in the place of the network's; enters at `name`."""
