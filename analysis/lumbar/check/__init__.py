"""Whether a series is fit to be measured."""
