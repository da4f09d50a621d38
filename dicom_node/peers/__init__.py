"""Every association that we open; the only room with pynetdicom."""
