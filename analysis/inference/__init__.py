"""Run the trained networks on arrays: numbers in, probabilities out."""
