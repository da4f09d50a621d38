"""Which tissue each pixel is, and where the discs lie along the spine."""
