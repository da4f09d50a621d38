"""All of finding tissues on one device, as operations on tensors."""
