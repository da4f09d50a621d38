"""The nouns of the method: structures, tissues, levels, and the spine they make."""
