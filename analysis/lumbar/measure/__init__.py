"""What is measured on each disc, and how; every quantity in its unit."""
