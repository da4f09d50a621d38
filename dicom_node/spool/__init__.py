"""What lies on disk between the network and the work."""
