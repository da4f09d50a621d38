"""The Pfirrmann grade of a disc, from a trained ordinal model."""
