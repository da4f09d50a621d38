"""Train, export and evaluate the networks; needs the extra `train`."""
