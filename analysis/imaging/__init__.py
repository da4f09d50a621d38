"""Array in, array out: resampling and geometry that know no anatomy."""
