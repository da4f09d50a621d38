"""One job from end to end."""
